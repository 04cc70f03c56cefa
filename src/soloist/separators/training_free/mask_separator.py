"""Bases of the separators without training: STFT, masks by a rule, inverse STFT."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.losses import Prediction
from soloist.separators.separator import Separator
from soloist.transforms import STFT, Window

MaskType = Literal["soft", "hard"]

_MOST_AT_ONCE = 1 << 22
"""Samples of all channels whose spectra are held at once: a fifth of a gigabyte or so."""


def frame_length(sample_rate: int, seconds: float) -> int:
    """The power of two, in samples, that is nearest to a duration (in octaves); at least 16."""
    return max(16, 2 ** round(math.log2(seconds * sample_rate)))


def numbered_sources(count: int) -> tuple[str, ...]:
    """Names of anonymous sources: `source1`, `source2`, ...

    Raises:
        UsageError: Fewer than one source.
    """
    if count < 1:
        raise UsageError(f"num_sources {count} must be at least 1")
    return tuple(f"source{index}" for index in range(1, count + 1))


class MaskSeparator(Separator):
    """Masks the STFT of the mixture by a rule on magnitudes; the phase stays.

    A subclass implements `masks`, or `spectrum_masks` for a rule that needs phases. If its rule takes each
    channel by itself, it sets `channels_apart`: many channels then cost time, not memory.

    Args:
        sources: Names of the sources, in the order of the masks.
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture.
        n_fft: Length of the window, samples.
        hop_length: Distance of the frames, samples; None for a quarter of the window.
        window: Name of the window.
        ordered: True if the order of the sources is fixed.
    """

    channels_apart = False

    def __init__(
        self,
        *,
        sources: Sequence[str],
        sample_rate: int,
        channels: int,
        n_fft: int,
        hop_length: int | None = None,
        window: Window = "sqrt_hann",
        ordered: bool = True,
    ) -> None:
        super().__init__(sources=sources, sample_rate=sample_rate, channels=channels, ordered=ordered)
        self.stft = STFT(n_fft, hop_length or n_fft // 4, window, pad_mode="constant", scaled=True)

    @property
    def stride(self) -> int:
        """Samples from one frame to the next."""
        return self.stft.hop_length

    def estimate(self, mixture: Tensor) -> Tensor:
        """Mask a mixture `(batch, channels, samples)` into `(batch, sources, channels, samples)`."""
        if self.channels_apart and mixture.shape[1] > (few := channels_at_once(mixture)):
            return torch.cat([self.estimate(part) for part in mixture.split(few, dim=1)], dim=2)
        spectrum = self.stft(mixture)
        masks = self.spectrum_masks(spectrum)
        return self.synthesize((spectrum * mask for mask in masks.unbind(1)), mixture.shape[-1])

    def synthesize(self, spectra: Iterable[Tensor], length: int) -> Tensor:
        """Audio `(batch, sources, channels, length)` of one spectrum for each source."""
        return torch.stack([self.stft.inverse(spectrum, length) for spectrum in spectra], dim=1)

    def predict(self, mixture: Tensor) -> Prediction:
        """Prediction for a mixture `(batch, channels, samples)`: masks and masked coefficients.

        Estimates only, if a subclass overrides `estimate`.
        """
        if type(self).estimate is not MaskSeparator.estimate:
            return super().predict(mixture)
        self._check(mixture)
        spectrum = self.stft(mixture)
        masks = self.spectrum_masks(spectrum)
        return Prediction(
            mixture,
            lambda: self(mixture),
            analyze=self.stft,
            coefficients=spectrum[:, None] * masks,
            masks=masks,
        )

    def spectrum_masks(self, spectrum: Tensor) -> Tensor:
        """The rule on complex spectra; by default on magnitudes.

        Args:
            spectrum: Complex `(batch, channels, frequency, frames)`.

        Returns:
            Masks in [0, 1], `(batch, sources, channels, frequency, frames)`; one channel if all share a
            mask.
        """
        return self.masks(spectrum.abs())

    def masks(self, magnitudes: Tensor) -> Tensor:
        """The rule on magnitudes.

        Args:
            magnitudes: Magnitudes of the mixture `(batch, channels, frequency, frames)`.

        Returns:
            Masks in [0, 1], `(batch, sources, channels, frequency, frames)`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement masks")


class RepetitionSeparator(MaskSeparator):
    """Accompaniment is the repeating or redundant part of the mixture, vocals are the rest.

    A subclass implements `background`.

    Args:
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture.
        n_fft: Length of the window, samples; None for the power of two nearest to 40 ms.
        hop_length: Distance of the frames, samples; None for half the window.
        window: Name of the window.
        mask: "soft", or "hard": each bin goes to the source with the larger soft mask.
        high_pass: Frequency, Hz, below which everything is accompaniment; 0 for none. Vocals begin at the
            nearest bin.
    """

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
    ) -> None:
        n_fft = n_fft or frame_length(sample_rate, 0.04)
        super().__init__(
            sources=("vocals", "accompaniment"),
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft,
            hop_length=hop_length or n_fft // 2,
            window=window,
        )
        if high_pass < 0:
            raise UsageError(f"high_pass {high_pass:g} must be a frequency in Hz, or 0 for none")
        self.mask = mask
        self.first_vocal_bin = nearest_bin(self.stft, high_pass, sample_rate)

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Masks `(batch, 2, channels, frequency, frames)` of vocals and accompaniment; they sum to one."""
        background = self.background(magnitudes)
        background[..., : self.first_vocal_bin, :] = 1
        if self.mask == "hard":
            background = (background >= 0.5).to(background)
        return torch.stack([1 - background, background], dim=1)

    def background(self, magnitudes: Tensor) -> Tensor:
        """Soft mask of the repeating part, a new tensor of the shape of `magnitudes`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement background")


def channels_at_once(mixture: Tensor) -> int:
    """Channels of a mixture `(batch, channels, samples)` whose spectra fit a bounded memory; at least one."""
    return max(1, _MOST_AT_ONCE // (mixture.shape[0] * mixture.shape[2]))


def nearest_bin(stft: STFT, frequency: float, sample_rate: int) -> int:
    """Nearest bin to a frequency in Hz; the lower one of two."""
    return min(math.ceil(frequency * stft.n_fft / sample_rate - 0.5), stft.num_bins - 1)


def ratio_mask(part: Tensor, whole: Tensor) -> Tensor:
    """Share of a modelled part in a magnitude, in [0, 1]; 1 for silence.

    Args:
        part: Magnitudes of the model of the part.
        whole: Magnitudes, of the same shape.
    """
    silent = whole <= 0
    return torch.where(silent, 1.0, torch.minimum(part, whole) / whole.masked_fill(silent, 1))
