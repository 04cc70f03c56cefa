"""Synthetic talkers: babble of many voices from seeds, for tests and toy trainings.

A talker has a pitch, a throat, a breath, a pace and a temper of its own, drawn from its number; what it says
is vowels and consonants without a meaning. Nothing is sampled; all of it is NumPy, and the voice is that of
the synthetic band.
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

MINIMUM_RATE = 4000  # Hz, below which no two vowels differ
PEAK = 0.7

# Ranges of the mean pitch in Hz of low and of high voices, and the pitch whose throat the vowels are of.
LOW_VOICES, HIGH_VOICES = (85.0, 150.0), (165.0, 255.0)
REFERENCE_PITCH = 130.0


@dataclass(frozen=True)
class Talker:
    """Who talks.

    Attributes:
        voice: The voice.
        pitch: Its middle, as a MIDI pitch.
        temper: How far the pitch goes up and down, semitones.
        pace: Syllables a second.
    """

    voice: Singer
    pitch: float
    temper: float
    pace: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Talker:
        """Draw a talker: the higher the voice, the shorter the throat, but not to be told from it."""
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
    """Let a talker talk.

    The same numbers give the same samples.

    Args:
        duration: In seconds; rounded to whole samples, at least one.
        talker: Who talks, not negative.
        utterance: What is said, not negative.
        sample_rate: In Hz, at least 4000.

    Returns:
        `(1, samples)` with a peak of 0.7.

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
    """Phrases with pauses for breath between them, until the time is over."""
    # The first one may have begun before: nobody waits for the recording.
    start = rng.uniform(-0.5, 0.1)
    while start < duration:
        phrase = _phrase(talker, start, rng)
        yield phrase
        start = phrase[-1].start + phrase[-1].duration + rng.uniform(0.15, 0.5)


def _phrase(talker: Talker, start: float, rng: np.random.Generator) -> list[Note]:
    """Syllables of uneven length, some stressed, on a pitch that falls from the first to the last."""
    count = int(rng.integers(4, 13))
    lengths = rng.uniform(0.65, 1.35, count) / talker.pace
    starts = start + np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    stress = rng.random(count) < 0.35
    fall = talker.temper * np.linspace(0.6, -0.8, count)
    pitches = talker.pitch + fall + talker.temper * (0.6 * stress + rng.normal(0, 0.25, count))
    velocities = 0.55 + 0.3 * stress + rng.uniform(-0.1, 0.1, count)
    # Between two syllables the mouth closes.
    columns = (starts, 0.85 * lengths, pitches, velocities)
    return [Note(*map(float, values)) for values in zip(*columns, strict=True)]
