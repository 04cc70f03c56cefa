"""Base of the separators by place in the stereo image: two channels, and spatial cues."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.separators.training_free.mask_separator import MaskSeparator, frame_length, numbered_sources
from soloist.transforms import Window


class StereoSeparator(MaskSeparator):
    """Separates sources by the difference of two channels; the order is arbitrary.

    A subclass implements `spectrum_masks`.

    Args:
        num_sources: Number of sources.
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture: two.
        n_fft: Length of the window, samples; None for the power of two nearest to 64 ms.
        hop_length: Distance of the frames, samples; None for a quarter of the window.
        window: Name of the window.

    Raises:
        UsageError: The mixture is not stereo, or no source is asked for.
    """

    def __init__(
        self,
        num_sources: int,
        *,
        sample_rate: int,
        channels: int,
        n_fft: int | None,
        hop_length: int | None,
        window: Window,
    ) -> None:
        if channels != 2:
            raise UsageError(
                f"{type(self).__name__} tells sources by the differences of two channels, and this mixture "
                f"has {channels}: give it a stereo recording, or take another model"
            )
        super().__init__(
            sources=numbered_sources(num_sources),
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft or frame_length(sample_rate, 0.064),
            hop_length=hop_length,
            window=window,
            ordered=False,
        )

    @property
    def chunk_length(self) -> int:
        """Half a minute: long enough to hear each source."""
        return 30 * self.sample_rate

    def angular_frequencies(self, like: Tensor) -> Tensor:
        """Radians a sample of each bin, `(frequency, 1)`, with precision and device of a tensor."""
        bins = torch.arange(self.stft.num_bins, device=like.device, dtype=like.real.dtype)
        return (bins * (2 * torch.pi / self.stft.n_fft))[:, None]


@dataclass(frozen=True)
class Cues:
    """Differences of the second channel from the first, at each point of a stereo spectrogram.

    Attributes:
        attenuation: Ratio of the magnitudes `(batch, frequency, frames)`.
        delay: Samples, from the smallest phase difference, `(batch, frequency, frames)`; 0 at 0 Hz.
    """

    attenuation: Tensor
    delay: Tensor

    @classmethod
    def of(cls, spectrum: Tensor, frequencies: Tensor) -> Cues:
        """Measure a spectrogram.

        Args:
            spectrum: Complex `(batch, 2, frequency, frames)`.
            frequencies: Radians a sample, `(frequency, 1)`.
        """
        first, second = spectrum.unbind(1)
        tiny = torch.finfo(frequencies.dtype).tiny ** 0.5
        attenuation = (second.abs() + tiny) / (first.abs() + tiny)
        phase = (second * first.conj()).angle()
        delay = torch.where(frequencies > 0, -phase / frequencies.clamp(min=tiny), 0)
        return cls(attenuation, delay)

    @property
    def symmetric_attenuation(self) -> Tensor:
        """Attenuation minus its inverse: 0 in the middle, of opposite sign on opposite sides."""
        return self.attenuation - 1 / self.attenuation
