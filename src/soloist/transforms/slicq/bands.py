"""Windowed bands of the spectrum of a slice, one a bin, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soloist.resources import is_captured
from soloist.transforms.slicq.windows import BinWindows, fft_offsets


@dataclass(frozen=True)
class BlockPlan:
    """Run of neighbouring bins with equally many coefficients.

    Attributes:
        first_bin: Index of the first bin.
        bins: Number of bins.
        width: Coefficients of each bin in a slice.
        start: Index of the first coefficient among the concatenated bands.
    """

    first_bin: int
    bins: int
    width: int
    start: int

    @property
    def stop(self) -> int:
        """Index after the last coefficient among the concatenated bands."""
        return self.start + self.bins * self.width


class BandMap:
    """Cuts the spectra of slices into concatenated windowed bands, and adds bands up to spectra.

    A band that reaches below 0 Hz or beyond half the sample rate continues in the mirror image of the
    spectrum and is added back from there, which makes every setting exact.

    Args:
        windows: Windows of the bins.
        widths: Coefficients of each bin, at least the length of the window; the rest of the band is zero.
        mirrored: Add back the parts that come from the mirror image.
    """

    def __init__(self, windows: BinWindows, widths: NDArray[np.int64], *, mirrored: bool = True) -> None:
        self.num_bins = windows.slice_length // 2 + 1
        self.blocks = _plan(widths)
        places, gains = _bands(windows, widths)
        self.margin = int(max(-places.min(), places.max() - self.num_bins + 1, 1))
        synthesis = np.repeat(widths, widths) * gains / windows.frame(widths)[places % windows.slice_length]
        self.mirrored = mirrored
        if mirrored:
            # The bins at 0 Hz and at half the sample rate are their own mirror images; `join` adds both.
            synthesis[: widths[0]] /= 2
            synthesis[-widths[-1] :] /= 2
        self._places = torch.from_numpy(places + self.margin)
        self._analysis = torch.from_numpy(gains)
        self._synthesis = torch.from_numpy(synthesis)
        self._tables: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor, Tensor]] = {}

    def cut(self, spectrum: Tensor) -> Tensor:
        """Bands `(..., all coefficients)` of complex spectra `(..., num_bins)` of real slices."""
        places, analysis, _ = self._on(spectrum)
        below = spectrum[..., 1 : self.margin + 1].flip(-1).conj()
        above = spectrum[..., -self.margin - 1 : -1].flip(-1).conj()
        extended = torch.cat([below, spectrum, above], dim=-1)
        # Twice as fast as index_select, which is optimised for whole rows.
        bands = extended.gather(-1, places.expand(*spectrum.shape[:-1], -1))
        return weigh(bands, analysis)

    def join(self, bands: Tensor) -> Tensor:
        """Spectra `(..., num_bins)` of bands `(..., all coefficients)`; may overwrite the bands."""
        places, _, synthesis = self._on(bands)
        extended = bands.new_zeros(*bands.shape[:-1], self.num_bins + 2 * self.margin)
        extended = extended.index_add(-1, places, weigh(bands, synthesis))
        if not self.mirrored:
            return extended[..., self.margin : -self.margin]
        # The mirror image about 0 Hz, and that about half the sample rate.
        below = extended[..., : self.margin + 1].flip(-1).conj()
        above = extended[..., -self.margin - 1 :].flip(-1).conj()
        spectrum = extended[..., self.margin : -self.margin]
        spectrum[..., : self.margin + 1].add_(below)
        spectrum[..., -self.margin - 1 :].add_(above)
        return spectrum

    def _on(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The tables on the device and in the precision of a complex tensor."""
        key = (like.device, like.real.dtype)
        if is_captured():
            return self._move(*key)
        if key not in self._tables:
            # Tables made in inference mode cannot be used in training.
            with torch.inference_mode(False):
                self._tables[key] = self._move(*key)
        return self._tables[key]

    def _move(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        return self._places.to(device), self._analysis.to(device, dtype), self._synthesis.to(device, dtype)


def weigh(signals: Tensor, gains: Tensor) -> Tensor:
    """Product; in place without gradients, which saves the largest tensor of all."""
    return signals * gains if torch.is_grad_enabled() and signals.requires_grad else signals.mul_(gains)


def _plan(widths: NDArray[np.int64]) -> list[BlockPlan]:
    blocks: list[BlockPlan] = []
    for width, run in groupby(widths.tolist()):
        first, start = (blocks[-1].first_bin + blocks[-1].bins, blocks[-1].stop) if blocks else (0, 0)
        blocks.append(BlockPlan(first, len(list(run)), width, start))
    return blocks


def _bands(windows: BinWindows, widths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Index in the spectrum, and gain, of each coefficient.

    Bands are in FFT order. The sign of a band refers phases to the middle of the slice.
    """
    places, gains = [], []
    for center, window, width in zip(windows.centers, windows.windows, widths, strict=True):
        place = np.full(width, center)
        gain = np.zeros(width)
        offsets = fft_offsets(len(window))
        place[offsets] += offsets
        gain[offsets] = window * (-1.0) ** (center // 2)
        places.append(place)
        gains.append(gain)
    return _wrap(np.concatenate(places), windows.slice_length), np.concatenate(gains)


def _wrap(places: NDArray[np.int64], slice_length: int) -> NDArray[np.int64]:
    """Places within the mirror images: a window may be longer than the spectrum."""
    places = np.where(places < -(slice_length // 2), places + slice_length, places)
    return np.where(places < slice_length, places, places - slice_length)
