"""The sliced constant-Q transform as one matrix, for networks that were made for an STFT."""

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
    """Sliced constant-Q transform with all bins on one axis of time, with an exact inverse.

    Every bin has as many coefficients as the widest: a narrow band is padded with zeros before its inverse
    Fourier transform, which interpolates its coefficients. All of them are synthesised again, so that a
    mapping may be as good as a mask.

    Two slices overlap at each time. Their coefficients alternate: frame `2 i` is that of the earlier slice,
    frame `2 i + 1` that of the later one at the same time. Before the first slice and after the last one the
    missing partner is zero, and `inverse` ignores it.

    Args:
        scale: Name of the frequency scale; see `SliCQ`, also for the rest.
        bins: Bins of the scale. Two more are at 0 Hz and at half the sample rate.
        fmin: Lowest centre of the scale, Hz.
        sample_rate: In Hz.
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
        """Bins of the scale, and those at 0 Hz and at half the sample rate."""
        return self.slicq.blocks[0].bins

    @property
    def reach(self) -> int:
        """From an end of a slice to the far end of its window."""
        return self.slicq.reach

    def length_of(self, frames: int) -> int:
        """Longest signal, in samples, that has no more than a number of frames; at least eight hops."""
        return max(8, frames // self.frames_per_hop - 2) * self.hop_length

    def widening(self, frames: int) -> int:
        """Samples that a network adds to the reach: whole hops, and one for the slices that overlap them."""
        return (1 + -(-frames // self.frames_per_hop)) * self.hop_length

    def forward(self, audio: Tensor) -> Tensor:
        """Analyse audio `(batch, channels, samples)`.

        Returns:
            Complex `(batch, channels, frequency, frames)`; `frames_per_hop` frames for each hop that the
            slices touch, which are two more than the audio has begun.
        """
        (block,) = self.slicq(audio)
        early, late = block.chunk(2, dim=-1)
        pairs = torch.stack([F.pad(late, (0, 0, 1, 0)), F.pad(early, (0, 0, 0, 1))], dim=-1)
        return rearrange(pairs, "b c f h t pair -> b c f (h t pair)")

    def inverse(self, coefficients: Tensor, length: int) -> Tensor:
        """Synthesise `(batch, channels, length)` from coefficients as `forward` returns them.

        Raises:
            UsageError: The coefficients are not those of that length.
        """
        return self.slicq.inverse([self._block(coefficients)], length)

    def bin_frequencies(self, sample_rate: int) -> NDArray[np.float64]:
        """Centre of each bin, Hz, from 0 to half the sample rate; see `SliCQ`."""
        return self.slicq.bin_frequencies(sample_rate)

    def spectrogram(self, coefficients: Tensor, length: int) -> list[Tensor]:
        """The amplitudes that sinusoids of the coefficients of `length` samples would have; see `SliCQ`."""
        return self.slicq.spectrogram([self._block(coefficients)], length)

    def _block(self, coefficients: Tensor) -> Tensor:
        """The block of slices `(batch, channels, frequency, slices, coefficients)` of a matrix."""
        size = self.frames_per_hop // 2
        late, early = rearrange(coefficients, "b c f (h t pair) -> pair b c f h t", pair=2, t=size)
        return torch.cat([early[..., :-1, :], late[..., 1:, :]], dim=-1)
