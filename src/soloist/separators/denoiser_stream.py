"""Stream through a denoiser, at any rate and with any number of channels."""

from __future__ import annotations

import math

import numpy as np

from soloist.audio import Audio
from soloist.audio.sample_queue import SampleQueue
from soloist.audio.short_resampler import ShortResampler
from soloist.separators.denoiser import Denoiser
from soloist.separators.frame_stream import SeparatorStream

_WINDOW = 0.032
"""Seconds over which the gain above the band is measured."""

_TINY = 1e-12


class DenoiserStream:
    """Stream through a `Denoiser`; see `SeparatorStream`.

    As `Denoiser`, except for what would need the future: each channel is cleaned by itself, and the gain
    above the band of the separator is that of the 32 ms before.

    Args:
        denoiser: The denoiser.
        inner: Stream of the denoiser's channels through its separator.
    """

    def __init__(self, denoiser: Denoiser, inner: SeparatorStream) -> None:
        self._inner = inner
        rate, theirs = denoiser.sample_rate, denoiser.separator.sample_rate
        strength = denoiser.strength
        self._kept = 0.0 if strength is None else 10 ** (strength / 20)
        self._mixture, self._seen = SampleQueue(), SampleQueue()
        self._above = None
        self.latency = inner.latency
        self._down = self._up = None
        if rate != theirs:
            self._down = ShortResampler(rate, theirs, denoiser.channels)
            self._up = ShortResampler(theirs, rate, 2 * denoiser.channels)
            self._above = _GainAbove(theirs, rate)
            self.latency = self._down.ahead + math.ceil((inner.latency + self._up.ahead) * rate / theirs)

    def push(self, audio: Audio) -> Audio:
        """Finished speech and noise `(2, channels, samples)` after samples `(channels, samples)`."""
        self._mixture.put(audio)
        if self._down is None:
            return self._join(self._inner.push(audio)[0])
        seen = self._down.process(audio)
        self._seen.put(seen)
        return self._rise(self._inner.push(seen)[0], last=False)

    def finish(self) -> Audio:
        """The rest of speech and noise `(2, channels, samples)`."""
        if self._down is None:
            return self._join(self._inner.finish()[0])
        seen = self._down.flush()
        self._seen.put(seen)
        source = np.concatenate([self._inner.push(seen)[0], self._inner.finish()[0]], axis=-1)
        return self._rise(source, last=True)

    def _rise(self, source: Audio, *, last: bool) -> Audio:
        """Bring the next samples of the source, at the separator's rate, to that of the recording."""
        assert self._up is not None
        assert self._above is not None
        seen = self._seen.take(source.shape[-1]) if source.shape[-1] else source
        self._above.measure(seen, source)
        both = self._up.process(np.concatenate([seen, source]))
        if last:
            both = np.concatenate([both, self._up.flush()], axis=-1)
        # Rounding up twice may give a sample too many.
        both = both[:, : self._mixture.available]
        return self._join(both[len(source) :], both[: len(source)])

    def _join(self, source: Audio, seen: Audio | None = None) -> Audio:
        """Speech and noise of the source, and of what lies above the band that was seen."""
        if not source.shape[-1]:
            return np.zeros((2, *source.shape), np.float32)
        mixture = self._mixture.take(source.shape[-1])
        if seen is not None and self._above is not None:
            source = source + (mixture - seen) * self._above.gains(source.shape[-1])
        speech = source + np.float32(self._kept) * (mixture - source)
        return np.stack([speech, mixture - speech])


class _GainAbove:
    """Gain of the upper half of the separator's band over time, from 0 to 1.

    Args:
        theirs: Rate of the separator, Hz.
        rate: Rate of the gains, Hz.
    """

    def __init__(self, theirs: int, rate: int) -> None:
        self._window = 2 ** round(math.log2(_WINDOW * theirs))
        self._hop = self._window // 2
        self._taps = np.sqrt(np.hanning(self._window + 1)[:-1]).astype(np.float32)
        self._per_gain = self._hop * rate / theirs
        self._held: Audio | None = None
        self._gains = [0.0, 0.0]
        self._position = 0.0

    def measure(self, seen: Audio, source: Audio) -> None:
        """Measure the next samples of what the separator sees and gives, `(channels, samples)` each."""
        pair = np.stack([seen, source])
        if self._held is None:
            self._held = np.zeros((*pair.shape[:2], self._hop), np.float32)
        self._held = np.concatenate([self._held, pair], axis=-1)
        bins = self._window // 2 + 1
        while self._held.shape[-1] >= self._window:
            spectra = np.fft.rfft(self._held[..., : self._window] * self._taps)
            powers = np.abs(spectra[..., bins // 2 : bins * 9 // 10]) ** 2
            before, after = powers.sum(axis=(1, 2))
            self._gains.append(math.sqrt(min(1.0, after / (before + _TINY))))
            self._held = self._held[..., self._hop :]

    def gains(self, samples: int) -> Audio:
        """Gains `(samples,)` of the next samples, interpolated between the last two that each knows."""
        places = (self._position + np.arange(samples)) / self._per_gain
        self._position += samples
        known = np.arange(len(self._gains))
        # The gain of a window is known where the window ends, and reached a hop later.
        gains = np.interp(places, known, self._gains).astype(np.float32)
        passed = min(int(self._position / self._per_gain), len(self._gains) - 2)
        self._gains = self._gains[passed:]
        self._position -= passed * self._per_gain
        return gains
