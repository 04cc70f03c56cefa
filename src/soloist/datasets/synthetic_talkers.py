"""Synthetic talkers: meaningless speech of many voices, from seeds, for tests and toy trainings.

The number of a talker is the seed of its pitch, throat, breath, pace and intonation. Talkers speak random
vowels and consonants, with the voice of the synthetic band, in NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from soloist.audio import Audio
from soloist.datasets.synthetic_band.dsp import Bus, Clock
from soloist.datasets.synthetic_band.song import Note
from soloist.datasets.synthetic_band.voice import Singer, perform
from soloist.errors import UsageError

MINIMUM_RATE = 4000  # Hz; vowels do not differ at lower rates.
PEAK = 0.7

# Ranges of the mean pitch of low and high voices, and the pitch of the reference throat, Hz.
LOW_VOICES, HIGH_VOICES = (85.0, 150.0), (165.0, 255.0)
REFERENCE_PITCH = 130.0


@dataclass(frozen=True)
class Talker:
    """Properties of a talker.

    Attributes:
        voice: The voice.
        pitch: Mean pitch, as a MIDI pitch.
        temper: Range of the intonation, semitones.
        pace: Syllables per second.
    """

    voice: Singer
    pitch: float
    temper: float
    pace: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Talker:
        """Draw a talker; higher voices tend to have shorter throats."""
        frequency = rng.uniform(*(HIGH_VOICES if rng.random() < 0.5 else LOW_VOICES))
        above = 12 * math.log2(frequency / REFERENCE_PITCH)
        voice = Singer(
            throat=1 + 0.017 * above + rng.uniform(-0.06, 0.06),
            vibrato=1.0,
            depth=0.0,
            breath=rng.uniform(0.02, 0.12),
            tilt=rng.uniform(0.7, 1.2),
            glide=0.05,
        )
        pitch = 69 + 12 * math.log2(frequency / 440)
        return cls(voice, pitch, temper=rng.uniform(1.0, 3.5), pace=rng.uniform(3.5, 6.0))


def synthesize_talker(duration: float, *, talker: int, utterance: int = 0, sample_rate: int = 8000) -> Audio:
    """Synthesise an utterance of a talker; equal arguments give equal samples.

    Args:
        duration: Length in seconds, rounded to whole samples, at least one.
        talker: Number of the talker, not negative.
        utterance: Number of the utterance, not negative.
        sample_rate: Sample rate in Hz, at least 4000.

    Returns:
        Audio `(1, samples)` with a peak of 0.7.

    Raises:
        UsageError: A number is out of range.
    """
    if sample_rate < MINIMUM_RATE:
        raise UsageError(f"sample_rate {sample_rate} is below {MINIMUM_RATE} Hz, where nobody can be heard")
    if talker < 0 or utterance < 0:
        raise UsageError(f"talker {talker} or utterance {utterance} is negative: give numbers from 0 up")
    if not 0.5 < duration * sample_rate < math.inf:
        raise UsageError(f"duration {duration} s is not a length of at least one sample at {sample_rate} Hz")
    person = Talker.draw(np.random.default_rng([talker, 20]))
    prose, words, air = (np.random.default_rng([talker, utterance, 21 + use]) for use in range(3))
    bus = Bus(Clock(sample_rate, round(duration * sample_rate)))
    for phrase in _phrases(person, duration, prose):
        perform(bus, phrase, person.voice, words, air)
    audio = bus.audio[:1]
    return (audio * PEAK / max(float(np.abs(audio).max()), 1e-9)).astype(np.float32)


def _phrases(talker: Talker, duration: float, rng: np.random.Generator) -> Iterator[list[Note]]:
    """Compose phrases with pauses between them, up to the duration."""
    # The first phrase may begin before the recording.
    start = rng.uniform(-0.5, 0.1)
    while start < duration:
        phrase = _phrase(talker, start, rng)
        yield phrase
        start = phrase[-1].start + phrase[-1].duration + rng.uniform(0.15, 0.5)


def _phrase(talker: Talker, start: float, rng: np.random.Generator) -> list[Note]:
    """Compose syllables of uneven length, some stressed, with falling pitch."""
    count = int(rng.integers(4, 13))
    lengths = rng.uniform(0.65, 1.35, count) / talker.pace
    starts = start + np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    stress = rng.random(count) < 0.35
    fall = talker.temper * np.linspace(0.6, -0.8, count)
    pitches = talker.pitch + fall + talker.temper * (0.6 * stress + rng.normal(0, 0.25, count))
    velocities = 0.55 + 0.3 * stress + rng.uniform(-0.1, 0.1, count)
    # The mouth closes between two syllables.
    columns = (starts, 0.85 * lengths, pitches, velocities)
    return [Note(*map(float, values)) for values in zip(*columns, strict=True)]
