"""Separation into low and high frequencies."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.separators.training_free.mask_separator import MaskSeparator, frame_length, nearest_bin
from soloist.transforms import Window


class Crossover(MaskSeparator):
    """Splits a mixture at a frequency: the plainest separator, a baseline for others.

    Memory is flat: an output sample depends on `receptive_field` samples on either side, and a separation in
    chunks equals that of the whole track.

    Args:
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture; each is separated by itself.
        n_fft: Length of the window, samples; None for the power of two nearest to 46 ms.
        hop_length: Distance of the frames, samples; None for a quarter of the window.
        window: Name of the window.
        frequency: Frequency of the split, Hz. The nearest bin is the first high one.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 44100,
        channels: int = 2,
        n_fft: int | None = None,
        hop_length: int | None = None,
        window: Window = "sqrt_hann",
        frequency: float = 250.0,
    ) -> None:
        super().__init__(
            sources=("low", "high"),
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft or frame_length(sample_rate, 0.046),
            hop_length=hop_length,
            window=window,
        )
        if frequency < 0:
            raise UsageError(f"frequency {frequency:g} must be in Hz, and not negative")
        self.first_high_bin = nearest_bin(self.stft, frequency, sample_rate)

    @property
    def receptive_field(self) -> int:
        """A window on either side."""
        return self.stft.n_fft

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Masks `(batch, 2, channels, frequency, frames)` of zeros and ones; see `MaskSeparator`."""
        low = torch.zeros_like(magnitudes)
        low[..., : self.first_high_bin, :] = 1
        return torch.stack([low, 1 - low], dim=1)
