"""Harmonic-percussive separation by median filtering."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.separators.training_free.mask_separator import MaskSeparator, MaskType, frame_length
from soloist.separators.training_free.sliding import sliding_median
from soloist.transforms import Window


class HPSS(MaskSeparator):
    """Separates tones from strokes by the direction in which a spectrogram is smooth.

    A median along time keeps long sounds (harmonic), a median along frequency keeps broad ones
    (percussive) [1]. With a margin above one a source must exceed the other by that factor to get a bin;
    the rest is a third source, the residual: the sources always add up to the mixture [2].

    Memory is flat: an output sample depends on `receptive_field` samples on either side, and a
    separation in chunks equals that of the whole track.

    Args:
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture; each is separated by itself.
        n_fft: Length of the window, samples; None for the power of two nearest to 90 ms (4096 at
            44.1 kHz, as in [1]).
        hop_length: Distance of the frames, samples; None for a quarter of the window.
        window: Name of the window.
        harmonic_kernel: Length of the median along time, frames.
        percussive_kernel: Length of the median along frequency, bins.
        harmonic_margin: Factor, at least 1, by which the harmonic part must exceed the percussive one.
        percussive_margin: Factor, at least 1, by which the percussive part must exceed the harmonic one.
        mask: "soft" shares a bin between the sources, "hard" gives it to one.
        power: Exponent of the soft mask; 2 makes it a Wiener filter.

    References:
        [1] D. FitzGerald, "Harmonic/percussive separation using median filtering", DAFx 2010.
        [2] J. Driedger, M. Müller and S. Disch, "Extending harmonic-percussive separation of audio
        signals", ISMIR 2014.
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
        harmonic_kernel: int = 17,
        percussive_kernel: int = 17,
        harmonic_margin: float = 1.0,
        percussive_margin: float = 1.0,
        mask: MaskType = "soft",
        power: float = 2.0,
    ) -> None:
        if min(harmonic_kernel, percussive_kernel) < 1 or power <= 0:
            raise UsageError("HPSS needs kernels of at least 1 and a power above 0")
        if min(harmonic_margin, percussive_margin) < 1:
            raise UsageError("a margin of HPSS must be at least 1, or a bin would count twice")
        residual = ("residual",) if max(harmonic_margin, percussive_margin) > 1 else ()
        super().__init__(
            sources=("harmonic", "percussive", *residual),
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft or frame_length(sample_rate, 0.09),
            hop_length=hop_length,
            window=window,
        )
        self.harmonic_kernel = harmonic_kernel
        self.percussive_kernel = percussive_kernel
        self.harmonic_margin = harmonic_margin
        self.percussive_margin = percussive_margin
        self.mask = mask
        self.power = power

    @property
    def receptive_field(self) -> int:
        """A window on either side, and half the median along time."""
        return self.stft.n_fft + self.harmonic_kernel // 2 * self.stft.hop_length

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Masks `(batch, sources, channels, frequency, frames)` that sum to one; see `MaskSeparator`."""
        if "residual" not in self.sources:
            harmonic_mask = self.harmonic_mask(magnitudes)
            return torch.stack([harmonic_mask, 1 - harmonic_mask], dim=1)
        harmonic, percussive = self._medians(magnitudes)
        harmonic_mask = self._mask(harmonic, percussive * self.harmonic_margin)
        percussive_mask = self._mask(percussive, harmonic * self.percussive_margin)
        return torch.stack([harmonic_mask, percussive_mask, 1 - harmonic_mask - percussive_mask], dim=1)

    def harmonic_mask(self, magnitudes: Tensor) -> Tensor:
        """Mask of the harmonic part alone, with the shape of the magnitudes."""
        harmonic, percussive = self._medians(magnitudes)
        return self._mask(harmonic, percussive.mul_(self.harmonic_margin))

    def _medians(self, magnitudes: Tensor) -> tuple[Tensor, Tensor]:
        return (
            sliding_median(magnitudes, self.harmonic_kernel, dim=-1),
            sliding_median(magnitudes, self.percussive_kernel, dim=-2),
        )

    def _mask(self, wanted: Tensor, other: Tensor) -> Tensor:
        """Mask of the wanted part against the other; one half if both are silent."""
        if self.mask == "hard":
            return (wanted > other).to(wanted)
        # In place, because these are the largest tensors of all; NaN marks 0 / 0.
        share = other.div(wanted).pow_(self.power).add_(1).reciprocal_()
        return share.masked_fill_(share.isnan(), 0.5)
