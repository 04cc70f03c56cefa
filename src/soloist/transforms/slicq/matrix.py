"""The sliced constant-Q transform as one matrix, for any network on spectrograms."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from soloist.transforms.slicq.scales import ScaleName
from soloist.transforms.slicq.slicq import SliCQ
from soloist.transforms.transform import SpectralTransform


class SliCQMatrix(SpectralTransform):
    """Sliced constant-Q transform with all bins on one time axis, and an exact inverse.

    Every bin has as many coefficients as the widest: zeros around a narrow band in the spectrum interpolate
    its coefficients in time. A mask or a mapping may change every coefficient.

    Two slices overlap at each time, and their coefficients alternate: frame `2 i` belongs to the earlier
    slice, frame `2 i + 1` to the later one, at the same time. The window of a slice fades each of the two in
    or out; their sum is the spectrogram. The first and the last hop have one slice each: the frames of the
    other are zero, and `inverse` ignores them.

    Args:
        scale: Name of the frequency scale; see `SliCQ` for all arguments.
        bins: Bins of the scale. Two more are at 0 Hz and at half the sample rate.
        fmin: Lowest centre of the scale, Hz.
        sample_rate: Sample rate, Hz.
        gamma: Shift of the centres of "variable-q", Hz.
        slice_length: Samples of a slice, a multiple of 4; None for the shortest that resolves the scale.
        transition: Samples over which one slice gives way to the next, even; None for a quarter of a slice.

    Raises:
        UsageError: A setting is out of range, or a slice cannot hold the scale.
    """

    def __init__(
        self,
        scale: ScaleName = "bark",
        bins: int = 262,
        fmin: float = 32.9,
        *,
        sample_rate: int = 44100,
        gamma: float = 25.0,
        slice_length: int | None = None,
        transition: int | None = None,
    ) -> None:
        super().__init__()
        self.slicq = SliCQ(
            scale,
            bins,
            fmin,
            sample_rate=sample_rate,
            gamma=gamma,
            slice_length=slice_length,
            transition=transition,
            form="matrix",
        )
        self.hop_length = self.slicq.hop_length
        self.frames_per_hop = self.slicq.blocks[0].width

    @property
    def num_bins(self) -> int:
        """Number of bins of the scale, and two at 0 Hz and at half the sample rate."""
        return self.slicq.blocks[0].bins

    @property
    def reach(self) -> int:
        """Distance from an end of a slice to the far end of its window."""
        return self.slicq.reach

    def length_of(self, frames: int) -> int:
        """Longest signal, in samples, with at most `frames` frames; at least eight hops."""
        return max(8, frames // self.frames_per_hop - 2) * self.hop_length

    def widening(self, frames: int) -> int:
        """Samples by which a network widens the reach: whole hops, and one more for overlapping slices."""
        return (1 + -(-frames // self.frames_per_hop)) * self.hop_length

    def forward(self, audio: Tensor) -> Tensor:
        """Analyse audio `(batch, channels, samples)`.

        Returns:
            Complex `(batch, channels, frequency, frames)`, with `frames_per_hop` frames for each begun hop of
            the audio and two hops more.
        """
        (block,) = self.slicq(audio)
        early, late = block.chunk(2, dim=-1)
        pairs = torch.stack([F.pad(late, (0, 0, 1, 0)), F.pad(early, (0, 0, 0, 1))], dim=-1)
        return rearrange(pairs, "b c f h t pair -> b c f (h t pair)")

    def inverse(self, coefficients: Tensor, length: int) -> Tensor:
        """Synthesise `(batch, channels, length)` from coefficients like those of `forward`.

        Raises:
            UsageError: Coefficients of another length.
        """
        return self.slicq.inverse([self._block(coefficients)], length)

    def bin_frequencies(self, sample_rate: int) -> NDArray[np.float64]:
        """Centre of each bin, Hz, from 0 to half the sample rate; see `SliCQ`."""
        return self.slicq.bin_frequencies(sample_rate)

    def spectrogram(self, coefficients: Tensor, length: int) -> list[Tensor]:
        """Amplitudes of sinusoids with the coefficients of `length` samples; see `SliCQ`."""
        return self.slicq.spectrogram([self._block(coefficients)], length)

    def _block(self, coefficients: Tensor) -> Tensor:
        """Block of slices `(batch, channels, frequency, slices, coefficients)` of a matrix."""
        size = self.frames_per_hop // 2
        late, early = rearrange(coefficients, "b c f (h t pair) -> pair b c f h t", pair=2, t=size)
        return torch.cat([early[..., :-1, :], late[..., 1:, :]], dim=-1)
