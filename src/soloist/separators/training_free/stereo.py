"""What separators by place in the stereo image share: two channels, cues of where a sound comes from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.separators.training_free.mask_separator import MaskSeparator, frame_length, numbered_sources
from soloist.transforms import Window


class StereoSeparator(MaskSeparator):
    """Tells sources by how their second channel differs from the first; their order is arbitrary.

    A subclass implements `spectrum_masks`.

    Args:
        num_sources: How many sources to look for.
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture: two.
        n_fft: Length of the window, samples; None for the power of two nearest to 64 ms.
        hop_length: Distance of the frames, samples; None for a quarter of the window.
        window: Name of the window.

    Raises:
        UsageError: There are not two channels, or no sources.
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
        """Half a minute, in which each source is likely to be heard."""
        return 30 * self.sample_rate

    def angular_frequencies(self, like: Tensor) -> Tensor:
        """Of each bin, radians a sample, `(frequency, 1)`, in the precision and on the device of a tensor."""
        bins = torch.arange(self.stft.num_bins, device=like.device, dtype=like.real.dtype)
        return (bins * (2 * torch.pi / self.stft.n_fft))[:, None]


@dataclass(frozen=True)
class Cues:
    """Of each point of a stereo spectrogram, how its second channel differs from the first.

    Attributes:
        attenuation: Ratio of the magnitudes `(batch, frequency, frames)`.
        delay: In samples, from the smallest phase that explains it, `(batch, frequency, frames)`; 0 at 0 Hz.
    """

    attenuation: Tensor
    delay: Tensor

    @classmethod
    def of(cls, spectrum: Tensor, frequencies: Tensor) -> Cues:
        """Measure a spectrogram.

        Args:
            spectrum: Complex `(batch, 2, frequency, frames)`.
            frequencies: In radians a sample, `(frequency, 1)`.
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
