"""Composition of a song from a seed, in seconds, independent of the sample rate.

Each part is composed bar by bar from its own random generator, so that a shorter song is the beginning of a
longer one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEPS = 16  # Steps of a bar of four beats.
SECTION = 4  # Bars of a section, which repeats the chords and ends with a drum fill.

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 1, 4), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 6, 2), (0, 6, 5, 6), (0, 3, 4, 0), (0, 2, 6, 5)),
}
KICKS = ((0, 8), (0, 6, 8), (0, 4, 8, 12), (0, 7, 10), (0, 3, 8, 11))
BASS_LINES = (
    ((0, 4), (4, 4), (8, 4), (12, 4)),
    ((0, 2), (2, 2), (4, 2), (6, 2), (8, 2), (10, 2), (12, 2), (14, 2)),
    ((0, 6), (6, 2), (8, 4), (14, 2)),
    ((0, 3), (3, 3), (6, 4), (11, 3), (14, 2)),
    ((0, 10), (10, 6)),
)
LEAD_RHYTHMS = (
    (0, 3, 6, 8, 12, 16, 20),
    (2, 4, 6, 8, 14, 16, 18),
    (0, 4, 7, 10, 12, 18),
    (0, 6, 8, 14, 16),
    (0, 2, 4, 8, 10, 12, 16, 18, 20),
)


@dataclass(frozen=True)
class Note:
    """Note: start and duration in seconds, MIDI pitch, velocity from 0 to 1."""

    start: float
    duration: float
    pitch: float
    velocity: float


@dataclass(frozen=True)
class Hit:
    """Stroke on a piece of the drum kit: name of the piece, start in seconds, velocity from 0 to 1."""

    piece: str
    start: float
    velocity: float


@dataclass(frozen=True)
class Chord:
    """Chord of one bar: start and duration in seconds, MIDI pitches of the root and of the voicing."""

    start: float
    duration: float
    root: int
    pitches: tuple[int, ...]


@dataclass(frozen=True)
class Song:
    """Score of a song.

    Args:
        tempo: Beats per minute.
        chords: Chords, one per bar.
        hits: Strokes of the drums.
        bass: Notes of the bass.
        keys: Notes of the plucked keys.
        phrases: Phrases of the lead, each a sequence of notes.
    """

    tempo: float
    chords: tuple[Chord, ...]
    hits: tuple[Hit, ...]
    bass: tuple[Note, ...]
    keys: tuple[Note, ...]
    phrases: tuple[tuple[Note, ...], ...]


def compose(seed: int, duration: float) -> Song:
    """Compose a song of at least `duration` seconds from a seed."""
    rng = np.random.default_rng([seed, 0])
    tempo = float(rng.uniform(90, 140))
    bar = 240 / tempo
    bars = int(np.ceil(duration / bar)) + 1
    mode = str(rng.choice(list(SCALES)))
    key = int(rng.integers(-5, 7))
    progression = PROGRESSIONS[mode][rng.integers(len(PROGRESSIONS[mode]))]
    scale = SCALES[mode]
    degrees = [progression[index % SECTION] for index in range(bars)]
    chords = tuple(_chord(degree, key, scale, index * bar, bar) for index, degree in enumerate(degrees))
    return Song(
        tempo=tempo,
        chords=chords,
        hits=tuple(_drums(np.random.default_rng([seed, 1]), bars, bar)),
        bass=tuple(_bass(np.random.default_rng([seed, 2]), chords, bar)),
        keys=tuple(_keys(np.random.default_rng([seed, 3]), chords, bar)),
        phrases=tuple(_lead(np.random.default_rng([seed, 4]), degrees, key, scale, bar)),
    )


def _pitch(degree: int, key: int, scale: tuple[int, ...]) -> int:
    """Semitones above C of a degree of the scale; degrees continue into other octaves."""
    octave, step = divmod(degree, len(scale))
    return key + 12 * octave + scale[step]


def _chord(degree: int, key: int, scale: tuple[int, ...], start: float, duration: float) -> Chord:
    tones = [_pitch(degree + third, key, scale) for third in (0, 2, 4)]
    # Inversions around middle C move little from chord to chord.
    voicing = sorted(55 + (tone - 55) % 12 for tone in tones)
    return Chord(start, duration, root=28 + (tones[0] - 28) % 12, pitches=(*voicing, voicing[0] + 12))


def _drums(rng: np.random.Generator, bars: int, bar: float) -> list[Hit]:
    step = bar / STEPS
    kick = KICKS[rng.integers(len(KICKS))]
    hat_every = int(rng.choice([1, 2, 2, 4]))
    open_hat = int(rng.choice([-1, 6, 14]))
    swing = float(rng.choice([0.0, 0.0, 0.2]))
    hits: list[Hit] = []
    for index in range(bars):
        fills = index % SECTION == SECTION - 1
        strokes = [("kick", s, 0.95) for s in kick]
        strokes += [("snare", s, 0.9) for s in (4, 12)]
        strokes += [("snare", s, 0.25) for s in (7, 9, 15) if rng.random() < 0.2]
        hats = range(0, STEPS, hat_every)
        strokes += [("open hat" if s == open_hat else "hat", s, 0.75 if s % 4 == 0 else 0.45) for s in hats]
        if index % SECTION == 0:
            strokes.append(("crash", 0, 0.8))
        if fills:
            strokes = [stroke for stroke in strokes if stroke[1] < 12] + _fill(rng)
        for piece, position, velocity in sorted(strokes, key=lambda stroke: stroke[1]):
            late = swing * (position % 2) + 0.03 * rng.standard_normal()
            level = float(np.clip(velocity * (1 + 0.12 * rng.standard_normal()), 0.05, 1.0))
            hits.append(Hit(piece, max(0.0, index * bar + (position + late) * step), level))
    return sorted(hits, key=lambda hit: hit.start)


def _fill(rng: np.random.Generator) -> list[tuple[str, int, float]]:
    pieces = ("snare", "high tom", "high tom", "low tom")
    return [(pieces[s - 12], s, float(rng.uniform(0.6, 0.95))) for s in range(12, 16) if rng.random() < 0.85]


def _bass(rng: np.random.Generator, chords: tuple[Chord, ...], bar: float) -> list[Note]:
    step = bar / STEPS
    line = BASS_LINES[rng.integers(len(BASS_LINES))]
    gate = float(rng.uniform(0.7, 0.97))
    notes: list[Note] = []
    for chord in chords:
        for position, length in line:
            jump = int(rng.choice([0, 0, 0, 7, 12])) if position else 0
            late = 0.02 * abs(rng.standard_normal())
            velocity = float(rng.uniform(0.7, 1.0))
            start = chord.start + (position + late) * step
            notes.append(Note(start, gate * length * step, chord.root + jump, velocity))
    return notes


def _keys(rng: np.random.Generator, chords: tuple[Chord, ...], bar: float) -> list[Note]:
    step = bar / STEPS
    arpeggio = bool(rng.random() < 0.5)
    every = int(rng.choice([2, 2, 4] if arpeggio else [4, 6]))
    order = rng.permutation(4)
    notes: list[Note] = []
    for chord in chords:
        for count, position in enumerate(range(0, STEPS, every)):
            chosen = [chord.pitches[order[count % 4]] + 12] if arpeggio else chord.pitches
            for finger, pitch in enumerate(chosen):
                start = chord.start + position * step + 0.012 * finger + 0.004 * abs(rng.standard_normal())
                notes.append(Note(start, 1.6 * every * step, pitch, float(rng.uniform(0.5, 1.0))))
    return notes


def _lead(
    rng: np.random.Generator, degrees: list[int], key: int, scale: tuple[int, ...], bar: float
) -> list[tuple[Note, ...]]:
    """Compose one phrase per two bars, with recurring rhythms; some songs rest in two bars of eight."""
    step = bar / STEPS
    lowest = int(rng.choice([45, 50, 55, 58]))
    rhythms = [LEAD_RHYTHMS[index] for index in rng.permutation(len(LEAD_RHYTHMS))[:2]]
    phrases: list[tuple[Note, ...]] = []
    rests = bool(rng.random() < 0.5)
    degree = int(rng.integers(0, 5))
    for first in range(0, len(degrees), 2):
        rhythm = rhythms[int(rng.random() < 0.35)]
        last = int(rng.integers(24, 30))
        keep = rng.random(len(rhythm)) < 0.9
        moves = rng.choice([-2, -1, -1, 0, 1, 1, 2, 3], size=len(rhythm))
        starts = [position for position, kept in zip(rhythm, keep, strict=True) if kept] or [0]
        phrase: list[Note] = []
        for position, end, move in zip(starts, [*starts[1:], last], moves, strict=False):
            degree = int(np.clip(degree + move, -3, 6))
            if position % 8 == 0:
                degree = _nearest_chord_tone(
                    degree, degrees[min(first + position // STEPS, len(degrees) - 1)]
                )
            pitch = lowest + (_pitch(0, key, scale) - lowest) % 12 + _pitch(degree, 0, scale)
            # Notes last at most three beats, as most syllables do.
            length = min(end - position, 12) * step
            phrase.append(Note(first * bar + position * step, length, pitch, float(rng.uniform(0.75, 1.0))))
        if not (rests and first % 8 == 6):
            phrases.append(tuple(phrase))
    return phrases


def _nearest_chord_tone(degree: int, root: int) -> int:
    tones = [root + third + octave for octave in (-7, 0) for third in (0, 2, 4)]
    return min(tones, key=lambda tone: (abs(tone - degree), tone))
