"""Synthetic band: songs with their stems, from a seed, for tests, toy trainings and the example.

Four players (a voice-like lead, drums, a bass, chords) play a song composed from the seed, which determines
tempo, key, progression, drum kit and singer. Songs are synthesised in NumPy, without recorded sounds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soloist.audio import Audio
from soloist.datasets.synthetic_band.drums import play_drums
from soloist.datasets.synthetic_band.dsp import Clock
from soloist.datasets.synthetic_band.harmony import play_bass, play_chords
from soloist.datasets.synthetic_band.song import compose
from soloist.datasets.synthetic_band.voice import play_voice
from soloist.errors import UsageError

__all__ = ["SOURCES", "synthesize_band"]

SOURCES = ("vocals", "drums", "bass", "other")

MINIMUM_RATE = 1000  # Hz
PEAK = 0.95
FADERS = {"vocals": 1.45, "drums": 0.37, "bass": 0.5, "other": 0.37}


def synthesize_band(duration: float, *, sample_rate: int = 44100, seed: int = 0) -> dict[str, Audio]:
    """Compose and play a song.

    The same seed gives the same samples, and the same song at every sample rate and duration: a shorter song
    is the beginning of a longer one, whose level may be lower to prevent clipping.

    Args:
        duration: Length in seconds, rounded to whole samples, at least one.
        sample_rate: Sample rate in Hz, at least 1000.
        seed: Number of the song, not negative.

    Returns:
        Stems by name, in the order of `SOURCES`, each `(2, samples)`. The mixture, their sum, stays within
        [-0.95, 0.95].

    Raises:
        UsageError: The duration, the rate or the seed is out of range.
    """
    if sample_rate < MINIMUM_RATE:
        raise UsageError(
            f"sample_rate {sample_rate} is below {MINIMUM_RATE} Hz, where the band cannot be heard"
        )
    if seed < 0:
        raise UsageError(f"seed {seed} is negative: give one from 0 up")
    if not 0.5 < duration * sample_rate < np.inf:
        raise UsageError(f"duration {duration} s is not a length of at least one sample at {sample_rate} Hz")
    clock = Clock(sample_rate, round(duration * sample_rate))
    song = compose(seed, duration)
    players = {name: np.random.default_rng([seed, 10 + index]) for index, name in enumerate(SOURCES)}
    stems = {
        "vocals": play_voice(song.phrases, clock, players["vocals"]),
        "drums": play_drums(song.hits, clock, players["drums"]),
        "bass": play_bass(song.bass, clock, players["bass"]),
        "other": play_chords(song.chords, song.keys, clock, players["other"]),
    }
    return _mix(stems, np.random.default_rng([seed, 5]))


def _mix(stems: dict[str, NDArray[np.float64]], rng: np.random.Generator) -> dict[str, Audio]:
    """Balance the stems, differently in each song, and limit the peak of the mixture by one gain."""
    faders = {name: FADERS[name] * 10 ** (rng.uniform(-2, 2) / 20) for name in SOURCES}
    peak = float(np.abs(sum(faders[name] * stems[name] for name in SOURCES)).max())
    gain = min(1.0, PEAK / max(peak, PEAK))
    return {name: (gain * faders[name] * stems[name]).astype(np.float32) for name in SOURCES}
