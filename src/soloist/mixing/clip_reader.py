"""Audible excerpts of single sounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from soloist.audio import Audio
from soloist.datasets import Stem
from soloist.errors import AudioError
from soloist.mixing.excerpt_reader import draw_start, level, loudest_time, read_excerpt, whole_length

AUDIBLE = 1e-3
"""Smallest root mean square of an audible excerpt (-60 dB), as opposed to pauses and their noise."""


class ClipReader:
    """Reader of random audible excerpts of one length, filled up where a sound is shorter.

    Args:
        samples: Length of the excerpts.
        sample_rate: Their rate, Hz.
        channels: Their channels.
        gap: Longest pause, seconds, after which another sound follows one that is shorter than the excerpt.
            If None, a short sound is padded with silence on both sides.
    """

    def __init__(self, samples: int, sample_rate: int, channels: int, gap: float | None) -> None:
        self.samples = samples
        self.sample_rate = sample_rate
        self.channels = channels
        self.gap = gap

    def hear(self, sound: Stem, rng: np.random.Generator, following: Callable[[], Stem]) -> Audio:
        """Read an audible excerpt: a random one, or one around the loudest sample if that is a pause.

        Args:
            sound: The sound.
            rng: Generator of the choice.
            following: Draws the sound that follows a short one.

        Returns:
            `(channels, samples)`.

        Raises:
            AudioError: The sound cannot be read, or is silent.
        """
        if level(excerpt := self._fill(sound, rng, following)) > AUDIBLE:
            return excerpt
        duration = self.samples / self.sample_rate
        start = loudest_time(sound) - rng.uniform(0, duration)
        excerpt = self._read(sound, max(0.0, min(start, sound.duration - duration)), self.samples)
        if level(excerpt) > AUDIBLE:
            return excerpt
        raise AudioError(f"{sound} is silent: no stretch of it is above {20 * np.log10(AUDIBLE):.0f} dB")

    def _fill(self, sound: Stem, rng: np.random.Generator, following: Callable[[], Stem]) -> Audio:
        """Read an excerpt of a sound, or the whole, filled up with silence or the sounds that follow."""
        missing = self.samples - self._samples_of(sound)
        if missing <= 0:
            return self._read(sound, draw_start(rng, sound, self.samples / self.sample_rate), self.samples)
        if self.gap is None:
            before = int(rng.integers(missing + 1))
            return np.pad(self._read(sound, 0.0, self.samples - before), ((0, 0), (before, 0)))
        filled = np.zeros((self.channels, self.samples), np.float32)
        position = 0
        while position < self.samples:
            end = min(position + self._samples_of(sound), self.samples)
            filled[:, position:end] = self._read(sound, 0.0, end - position)
            position = end + int(rng.uniform(0, self.gap) * self.sample_rate)
            sound = following()
        return filled

    def _samples_of(self, sound: Stem) -> int:
        return whole_length(sound, self.sample_rate)

    def _read(self, sound: Stem, start: float, samples: int) -> Audio:
        return read_excerpt(sound, start, samples, self.sample_rate, self.channels)
