"""The sliced constant-Q transform: slices, spectra, bands of the bins, and the inverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.resources import is_captured
from soloist.transforms.slicq.bands import BandMap, BlockPlan
from soloist.transforms.slicq.overlap import overlap_slices
from soloist.transforms.slicq.scales import MAX_SLICE, MIN_SLICE, ScaleName, make_scale
from soloist.transforms.slicq.windows import BinWindows, transition_window
from soloist.transforms.transform import Transform

GROUP = 32  # slices transformed at once without gradients


class SliCQ(Transform):
    """Sliced constant-Q transform: resolution in time and frequency follows a scale, with an exact inverse.

    The signal is cut into slices, each half a slice after the one before, with windows that add up to one.
    The spectrum of a slice is cut into one band a bin, and each band becomes a short signal: wide bands have
    many coefficients in a slice, narrow ones few. Neighbouring bins with equally many form a block.
    `SliCQMatrix` has one tensor for all bins.

    Slice `j` holds the samples from `(j - 1) * hop_length` to `(j + 1) * hop_length`. In a piece of a longer
    signal that begins on a multiple of `hop_length`, only the first and the last two slices see beyond the
    piece.

    `torch.export` takes forward and inverse for a given length. ONNX has no complex numbers: the transform
    stays outside of the graph.

    N. Holighaus, M. Dörfler, G. A. Velasco and T. Grill, "A framework for invertible, real-time constant-Q
    transforms", IEEE TASLP 21(4), 2013. S. Hanssian, "Music demixing with the sliCQ transform", MDX workshop,
    2021.

    Args:
        scale: Name of the frequency scale; see `make_scale`.
        bins: Bins of the scale. Two more are at 0 Hz and at half the sample rate.
        fmin: Lowest centre of the scale, Hz.
        sample_rate: Sample rate, Hz.
        gamma: Shift of the centres of "variable-q", Hz.
        slice_length: Samples of a slice, a multiple of 4; None for the shortest that resolves the scale.
        transition: Samples over which one slice gives way to the next, even; None for a quarter of a slice.
        form: "ragged": one block for each run of bins with equally many coefficients. "matrix": one block, in
            which all bins have as many coefficients as the widest.
        as_released: Synthesise as the published code does, without the parts of the lowest and highest bands
            beyond 0 Hz and half the sample rate: not exact in one of three settings. There may be a second
            bin at half the sample rate; see `make_scale`.

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
        form: Literal["ragged", "matrix"] = "ragged",
        as_released: bool = False,
    ) -> None:
        super().__init__()
        frequencies = make_scale(scale, bins, fmin, sample_rate, gamma=gamma, as_released=as_released)
        self.sample_rate = sample_rate
        if slice_length is None:
            slice_length = frequencies.suggested_slice(sample_rate)
        if transition is None:
            transition = 2 * -(-(slice_length // 4) // 2)
        _check_slices(slice_length, transition)
        self.slice_length = slice_length
        self.transition = transition
        self.hop_length = slice_length // 2
        windows = BinWindows.of(frequencies, slice_length, sample_rate)
        widest = windows.lengths.max()
        widths = windows.lengths if form == "ragged" else np.full_like(windows.lengths, widest)
        self._bands = BandMap(windows, widths, mirrored=not as_released)
        self._frequencies = (0.0, *frequencies.frequencies.tolist(), sample_rate / 2)
        # No buffer: conversions of the module would change the double precision.
        self._window = torch.from_numpy(transition_window(slice_length, transition))

    @property
    def frequencies(self) -> tuple[float, ...]:
        """Centre of each bin, Hz, from 0 to half the sample rate."""
        return self._frequencies

    @property
    def blocks(self) -> tuple[BlockPlan, ...]:
        """Plan of each block of coefficients: bins and widths."""
        return tuple(self._bands.blocks)

    @property
    def reach(self) -> int:
        """Distance from an end of a slice to the far end of its window."""
        return 3 * (self.slice_length // 4) + self.transition // 2

    def num_slices(self, length: int) -> int:
        """Number of slices of `length` samples."""
        return -(-length // self.hop_length) + 1

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Analyse audio `(batch, channels, samples)`.

        Returns:
            For each of `blocks` complex `(batch, channels, frequency, slices, coefficients)`.
        """
        slices = self.num_slices(audio.shape[-1])
        padded = F.pad(audio, (self.hop_length, slices * self.hop_length - audio.shape[-1]))
        if is_captured() or (torch.is_grad_enabled() and audio.requires_grad):
            return self._analyze(padded)
        # In groups, straight into the result: no other tensor is as long as the signal.
        dtype = torch.promote_types(audio.dtype, torch.complex64)
        blocks = [
            torch.empty(*audio.shape[:2], block.bins, slices, block.width, dtype=dtype, device=audio.device)
            for block in self.blocks
        ]
        for first in range(0, slices, GROUP):
            group = padded[..., first * self.hop_length :][..., : (GROUP + 1) * self.hop_length]
            for block, part in zip(blocks, self._analyze(group), strict=True):
                block[..., first : first + GROUP, :] = part
        return blocks

    def inverse(self, coefficients: Sequence[Tensor], length: int) -> Tensor:
        """Synthesise `(batch, channels, length)` from blocks like those of `forward`.

        Raises:
            UsageError: Blocks of another transform or length.
        """
        slices = self._check(coefficients, length)
        recorded = torch.is_grad_enabled() and any(block.requires_grad for block in coefficients)
        whole = recorded or is_captured()
        step = slices if whole else GROUP
        batch, channels = coefficients[0].shape[:2]
        audio = coefficients[0].real.new_zeros(batch, channels, (slices + 1) * self.hop_length)
        # A graph for any number of slices cannot loop over them.
        for first in [0] if whole else range(0, slices, GROUP):
            group = [block[..., first : first + step, :] for block in coefficients]
            part = overlap_slices(self._synthesize(group))
            audio.narrow(-1, first * self.hop_length, part.shape[-1]).add_(part)
        return audio[..., self.hop_length :][..., :length]

    def bin_frequencies(self, sample_rate: int) -> NDArray[np.float64]:
        """Centre of each bin, Hz, from 0 to half the sample rate.

        Raises:
            UsageError: The transform has another sample rate.
        """
        if sample_rate != self.sample_rate:
            raise UsageError(f"this sliCQ is one for {self.sample_rate} Hz, not for {sample_rate} Hz")
        return np.array(self.frequencies)

    def spectrogram(self, coefficients: Sequence[Tensor], length: int) -> list[Tensor]:
        """Amplitudes of sinusoids with the coefficients, overlapping slices added up.

        Returns:
            For each block `(batch, channels, frequency, hops * coefficients / 2)`, from the first sample on.

        Raises:
            UsageError: Blocks of another transform or length.
        """
        hops = self._check(coefficients, length) - 1
        pictures = []
        for block in coefficients:
            half = block.shape[-1] // 2
            amplitudes = overlap_slices(block.abs())[..., half : (hops + 1) * half]
            pictures.append(amplitudes * (4 * half / self.slice_length))
        return pictures

    def _analyze(self, padded: Tensor) -> list[Tensor]:
        """Blocks of the whole slices in `(batch, channels, samples)`."""
        slices = padded.unfold(-1, self.slice_length, self.hop_length) * self._window.to(padded)
        bands = self._bands.cut(torch.fft.rfft(slices))
        blocks = []
        for block in self.blocks:
            own = bands[..., block.start : block.stop].unflatten(-1, (block.bins, block.width))
            blocks.append(rearrange(torch.fft.ifft(own), "b c s f t -> b c f s t"))
        return blocks

    def _synthesize(self, blocks: Sequence[Tensor]) -> Tensor:
        """Slices `(batch, channels, slices, samples)` of blocks."""
        bands = [rearrange(torch.fft.fft(block), "b c f s t -> b c s (f t)") for block in blocks]
        return torch.fft.irfft(self._bands.join(torch.cat(bands, dim=-1)), self.slice_length)

    def _check(self, coefficients: Sequence[Tensor], length: int) -> int:
        slices = self.num_slices(length)
        expected = [(block.bins, slices, block.width) for block in self.blocks]
        if [tuple(block.shape[2:]) for block in coefficients] != expected:
            raise UsageError(
                f"{length} samples need {len(expected)} blocks of {slices} slices, the first "
                f"(batch, channels, {', '.join(map(str, expected[0]))}); "
                f"these are {len(coefficients)}: {[tuple(block.shape) for block in coefficients[:1]]}"
            )
        return slices


def _check_slices(slice_length: int, transition: int) -> None:
    if not MIN_SLICE <= slice_length <= MAX_SLICE or slice_length % 4:
        nearest = min(max(MIN_SLICE, 4 * round(slice_length / 4)), MAX_SLICE)
        raise UsageError(
            f"slice_length {slice_length} is not a multiple of 4 from {MIN_SLICE} to {MAX_SLICE}: "
            f"give {nearest}"
        )
    if not 0 < transition <= slice_length // 2 or transition % 2:
        nearest = min(max(2, 2 * round(transition / 2)), slice_length // 4 * 2)
        raise UsageError(
            f"transition {transition} is not an even number of samples up to half a slice of {slice_length}: "
            f"give {nearest}"
        )
