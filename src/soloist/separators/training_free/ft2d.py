"""Separation by peaks of the two-dimensional Fourier transform of a spectrogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.separators.training_free.mask_separator import MaskType, RepetitionSeparator, ratio_mask
from soloist.separators.training_free.sliding import sliding_maximum, sliding_mean
from soloist.transforms import Window


class FT2D(RepetitionSeparator):
    """Accompaniment is the peaks of the magnitudes' 2-D Fourier transform, which repeat in time [1].

    Memory grows with the length of a chunk. Files are separated in chunks, each with a transform of its own;
    the neighbourhood of a peak is in bins of the transform, which are wider in Hz for shorter chunks.

    Args:
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture; each is separated by itself.
        n_fft: Length of the window, samples; None for the power of two nearest to 40 ms.
        hop_length: Distance of the frames, samples; None for half the window.
        window: Name of the window.
        mask: "soft", or "hard": each bin goes to the source with the larger soft mask.
        high_pass: Frequency, Hz, below which everything is accompaniment; 0 for none.
        neighborhood: Neighbourhood of a peak, in bins of the transform along frequency and time.
        peaks: "threshold" keeps local maxima whose neighbourhood spans more than the deviation of the
            whole transform [1]; "prominence" weights each local maximum by its distance from the mean of the
            neighbourhood, in deviations, relative to the most prominent one [2].
        quadrants: Quadrants of the transform to keep: 0 and 2 hold sounds that rise in frequency with time, 1
            and 3 sounds that fall.
        model: Magnitudes that make the mask: of the peaks ("background") or of the rest ("foreground").
        as_released: Follow the authors' program: peaks are mirrored about the middle column (off by one for
            an even number of columns), magnitudes are raised by 1e-7, and the mask is divided by its largest
            value.

    References:
        [1] P. Seetharaman, F. Pishdadian and B. Pardo, "Music/voice separation using the 2D Fourier
        transform", WASPAA 2017.
        [2] P. Seetharaman, "Bootstrapping the learning process for computer audition", dissertation,
        Northwestern University, 2019, chapter 2.
    """

    channels_apart = True

    def __init__(
        self,
        *,
        sample_rate: int = 44100,
        channels: int = 2,
        n_fft: int | None = None,
        hop_length: int | None = None,
        window: Window = "sqrt_hann",
        mask: MaskType = "soft",
        high_pass: float = 100.0,
        neighborhood: tuple[int, int] = (1, 25),
        peaks: Literal["threshold", "prominence"] = "threshold",
        quadrants: Sequence[int] = (0, 1, 2, 3),
        model: Literal["background", "foreground"] = "background",
        as_released: bool = False,
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft,
            hop_length=hop_length,
            window=window,
            mask=mask,
            high_pass=high_pass,
        )
        if min(neighborhood) < 1 or not set(quadrants) <= {0, 1, 2, 3}:
            raise UsageError("FT2D needs a neighborhood of at least (1, 1), and quadrants from 0 to 3")
        self.neighborhood = neighborhood
        self.peaks = peaks
        self.quadrants = frozenset(quadrants)
        self.model = model
        self.as_released = as_released

    @property
    def chunk_length(self) -> int:
        """Half a minute: several repetitions of a pattern of a few bars."""
        return 30 * self.sample_rate

    def background(self, magnitudes: Tensor) -> Tensor:
        """Soft mask of the peaks; see `RepetitionSeparator`."""
        transform = torch.fft.fft2(magnitudes)
        kept = self._weights(transform)
        if self.model == "foreground":
            kept = 1 - kept
        model = torch.fft.ifft2(transform * (kept * self._quadrant_mask(kept))).abs()
        floor = 1e-7 if self.as_released else 0.0
        mask = ratio_mask(model, magnitudes + floor)
        if self.as_released:
            mask = mask / (mask + floor).amax(dim=(-2, -1), keepdim=True)
        return mask if self.model == "background" else 1 - mask

    def _weights(self, transform: Tensor) -> Tensor:
        """Weight of each bin of the transform `(..., frequency, frames)` as a peak, in [0, 1]."""
        size = torch.fft.fftshift(transform.abs(), dim=(-2, -1)).double()
        size = size / (size.amax(dim=(-2, -1), keepdim=True) + 1e-7)
        largest = self._largest(size)
        weights = (size == largest).double()
        if self.peaks == "threshold":
            span = largest + self._largest(-size)
            weights = weights * (span > size.std(dim=(-2, -1), correction=0, keepdim=True))
        else:
            weights = weights * self._prominence(size, largest)
            weights = weights / (weights.amax(dim=(-2, -1), keepdim=True) + 1e-7)
        if self.as_released:
            weights = torch.maximum(weights, weights.flip(-1))
        return torch.fft.ifftshift(weights, dim=(-2, -1)).to(transform.real.dtype)

    def _prominence(self, size: Tensor, largest: Tensor) -> Tensor:
        mean = self._mean(size)
        variance = (self._mean(size.square()) - mean.square()).clamp(min=0)
        return (largest - mean) / (variance.sqrt() + 1e-7)

    def _largest(self, values: Tensor) -> Tensor:
        along_frequency = sliding_maximum(values, self.neighborhood[0], dim=-2)
        return sliding_maximum(along_frequency, self.neighborhood[1], dim=-1)

    def _mean(self, values: Tensor) -> Tensor:
        along_frequency = sliding_mean(values, self.neighborhood[0], dim=-2)
        return sliding_mean(along_frequency, self.neighborhood[1], dim=-1)

    def _quadrant_mask(self, weights: Tensor) -> Tensor:
        rows, columns = weights.shape[-2], weights.shape[-1]
        mask = torch.zeros(rows, columns, device=weights.device, dtype=weights.dtype)
        early, late = slice(None, columns // 2), slice(columns // 2, None)
        low, high = slice(None, rows // 2), slice(rows // 2, None)
        for quadrant, (row, column) in enumerate([(high, early), (low, early), (low, late), (high, late)]):
            mask[row, column] = float(quadrant in self.quadrants)
        return mask
