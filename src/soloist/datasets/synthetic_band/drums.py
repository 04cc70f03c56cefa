"""Drum kit: membranes with falling pitch, filtered noise, inharmonic metal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from soloist.datasets.synthetic_band.dsp import Bus, Clock, noise, reverberate
from soloist.datasets.synthetic_band.song import Hit

# Frequencies of the inharmonic partials of cymbals, relative to the lowest.
METAL_PARTIALS = np.array([1.0, 1.342, 1.499, 1.721, 1.943, 2.211, 2.637, 3.117])


class DrumPart(Protocol):
    """Interface of the parts of a piece's sound."""

    def sound(
        self, times: NDArray[np.float64], clock: Clock, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Synthesise the sound `(samples,)` at times in seconds after the stroke."""


@dataclass(frozen=True)
class Membrane:
    """Drum head with a pitch that falls from `struck` to `pitch` Hz; drop and decay in seconds."""

    struck: float
    pitch: float
    drop: float
    decay: float

    def sound(
        self, times: NDArray[np.float64], clock: Clock, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Synthesise the tone `(samples,)` at times in seconds after the stroke."""
        bend = (self.struck - self.pitch) * self.drop * (1 - np.exp(-times / self.drop))
        attack = np.minimum(times / 0.001, 1.0)
        return np.sin(2 * np.pi * (self.pitch * times + bend)) * np.exp(-times / self.decay) * attack


@dataclass(frozen=True)
class Rattle:
    """Noise from `low` to `high` Hz, for snares, sticks and the hiss of cymbals; decay in seconds."""

    low: float
    high: float
    decay: float

    def sound(
        self, times: NDArray[np.float64], clock: Clock, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Synthesise the noise `(samples,)` at times in seconds after the stroke."""
        return noise(rng, clock, len(times), self.low, self.high) * np.exp(-times / self.decay)


@dataclass(frozen=True)
class Metal:
    """Ring of cymbals: inharmonic partials from `lowest` Hz up; decay in seconds."""

    lowest: float
    decay: float

    def sound(
        self, times: NDArray[np.float64], clock: Clock, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Synthesise the ring `(samples,)` at times in seconds after the stroke."""
        partials = self.lowest * METAL_PARTIALS
        partials = partials[partials < 0.95 * clock.nyquist]
        ring = np.sin(2 * np.pi * partials[:, None] * times).sum(axis=0)
        return np.asarray(ring * np.exp(-times / self.decay))


@dataclass(frozen=True)
class DrumPiece:
    """Piece of the kit: its panorama (-1 to 1), its length in seconds, and its parts with their levels."""

    pan: float
    length: float
    parts: tuple[tuple[float, DrumPart], ...]

    def sound(
        self, times: NDArray[np.float64], clock: Clock, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Synthesise a stroke `(samples,)` at full velocity."""
        sound = np.zeros_like(times)
        for level, part in self.parts:
            sound += level * part.sound(times, clock, rng)
        return sound * np.clip((self.length - times) / 0.005, 0.0, 1.0)


def build_kit(rng: np.random.Generator) -> dict[str, DrumPiece]:
    """Draw the pieces of a song's kit, by name."""
    kick, snare, tom = rng.uniform(44, 62), rng.uniform(165, 225), rng.uniform(85, 110)
    hiss, ring = rng.uniform(5500, 8000), rng.uniform(3600, 5200)
    rattle, boom = rng.uniform(0.07, 0.14), rng.uniform(0.12, 0.24)
    kick_parts = (
        (0.95, Membrane(kick * 4.5, kick, 0.028, boom)),
        (0.25, Rattle(1500.0, 6000.0, 0.006)),
    )
    snare_parts = (
        (0.38, Membrane(snare * 1.6, snare, 0.012, 0.09)),
        (0.18, Membrane(snare * 2.6, snare * 1.78, 0.01, 0.05)),
        (0.42, Rattle(900.0, 9500.0, rattle)),
    )
    crash_parts = ((0.22, Rattle(3000.0, 15000.0, 0.45)), (0.012, Metal(0.8 * ring, 0.4)))
    return {
        "kick": DrumPiece(0.0, 0.7, kick_parts),
        "snare": DrumPiece(-0.08, 0.6, snare_parts),
        "hat": DrumPiece(0.35, 0.15, ((0.32, Rattle(hiss, 16000.0, 0.03)), (0.02, Metal(ring, 0.024)))),
        "open hat": DrumPiece(0.35, 0.5, ((0.32, Rattle(hiss, 16000.0, 0.16)), (0.02, Metal(ring, 0.13)))),
        "high tom": DrumPiece(-0.4, 0.7, ((0.6, Membrane(tom * 2.6, tom * 1.6, 0.05, 0.17)),)),
        "low tom": DrumPiece(0.45, 0.8, ((0.65, Membrane(tom * 1.8, tom, 0.06, 0.22)),)),
        "crash": DrumPiece(-0.5, 2.2, crash_parts),
    }


def play_drums(hits: Sequence[Hit], clock: Clock, rng: np.random.Generator) -> NDArray[np.float64]:
    """Render strokes `(2, samples)` on a kit drawn for the song, in a small room."""
    kit = build_kit(rng)
    bus = Bus(clock)
    decay = float(rng.uniform(0.25, 0.5))
    strokes = np.random.default_rng(rng.integers(1 << 63))
    for hit in hits:
        piece = kit[hit.piece]
        first, times = clock.place(hit.start, piece.length)
        if first < clock.samples:
            bus.add(first, hit.velocity * piece.sound(times, clock, strokes), pan=piece.pan)
    # Compression of loud parts, as by tape.
    pressed = np.tanh(1.3 * bus.audio) / 1.3
    return reverberate(pressed, clock, rng, decay=decay, amount=0.02)
