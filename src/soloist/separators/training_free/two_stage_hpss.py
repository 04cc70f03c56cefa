"""Vocals between two resolutions of harmonic-percussive separation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.separators.separator import Separator
from soloist.separators.training_free.hpss import HPSS
from soloist.separators.training_free.mask_separator import channels_at_once, frame_length


class TwoStageHPSS(Separator):
    """Vocals are strokes to a long window and tones to a short one [1, 2].

    A voice is never still: in a window of three quarters of a second its partials spread like strokes,
    while held chords and basses stay lines. HPSS with that window removes chords and basses, HPSS with a
    short window then removes the drums. Solo instruments that glide or tremble count as voices.

    Memory is flat: an output sample depends on `receptive_field` samples on either side, and a
    separation in chunks equals that of the whole track.

    Args:
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture; each is separated by itself.
        long_window: Window of the first stage, s, rounded to a power of two in samples.
        short_window: Window of the second stage, s, rounded to a power of two in samples.
        long_kernel: Length of the first stage's medians, frames and bins.
        time_kernel: Length of the second stage's median along time, frames.
        frequency_kernel: Length of the second stage's median along frequency, bins.
        high_pass: Frequency, Hz, below which everything is accompaniment; 0 for none.

    References:
        [1] D. FitzGerald and M. Gainza, "Single channel vocal separation using median filtering and
        factorisation techniques", ISAST Trans. Electronic and Signal Processing 4(1), 2010.
        [2] H. Tachibana, N. Ono and S. Sagayama, "Singing voice enhancement in monaural music signals
        based on two-stage harmonic/percussive sound separation on multiple resolution spectrograms",
        IEEE/ACM Trans. Audio, Speech and Language Processing 22(1), 2014.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 44100,
        channels: int = 2,
        long_window: float = 0.74,
        short_window: float = 0.046,
        long_kernel: int = 17,
        time_kernel: int = 31,
        frequency_kernel: int = 17,
        high_pass: float = 100.0,
    ) -> None:
        super().__init__(sources=("vocals", "accompaniment"), sample_rate=sample_rate, channels=channels)
        if not 0 < short_window < long_window or high_pass < 0:
            raise UsageError("TwoStageHPSS needs 0 < short_window < long_window and no negative high_pass")
        self.long = HPSS(
            sample_rate=sample_rate,
            channels=channels,
            n_fft=frame_length(sample_rate, long_window),
            harmonic_kernel=long_kernel,
            percussive_kernel=long_kernel,
        )
        self.short = HPSS(
            sample_rate=sample_rate,
            channels=channels,
            n_fft=frame_length(sample_rate, short_window),
            harmonic_kernel=time_kernel,
            percussive_kernel=frequency_kernel,
        )
        self.first_vocal_bin = round(high_pass * self.short.stft.n_fft / sample_rate)

    @property
    def chunk_length(self) -> int:
        """Several receptive fields: little is computed twice."""
        return 15 * self.sample_rate

    @property
    def receptive_field(self) -> int:
        """The fields of both stages."""
        return self.long.receptive_field + self.short.receptive_field

    @property
    def stride(self) -> int:
        """Samples from one frame of the first stage to the next; the second stage's divide it."""
        return math.lcm(self.long.stride, self.short.stride)

    def estimate(self, mixture: Tensor) -> Tensor:
        """Separate a mixture `(batch, channels, samples)` into `(batch, 2, channels, samples)`."""
        moving = mixture - self._harmonic(self.long, mixture)
        vocals = self._harmonic(self.short, moving, self.first_vocal_bin)
        return torch.stack([vocals, mixture - vocals], dim=1)

    def _harmonic(self, stage: HPSS, mixture: Tensor, first_bin: int = 0) -> Tensor:
        """Harmonic part of a stage, `(batch, channels, samples)`, from a bin up."""
        if mixture.shape[1] > (few := channels_at_once(mixture)):
            parts = [self._harmonic(stage, part, first_bin) for part in mixture.split(few, dim=1)]
            return torch.cat(parts, dim=1)
        spectrum = stage.stft(mixture)
        mask = stage.harmonic_mask(spectrum.abs())
        mask[..., :first_bin, :] = 0
        return stage.stft.inverse(spectrum * mask, mixture.shape[-1])
