"""Bass, pads and plucked keys, by wavetables with bright attacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from soloist.datasets.synthetic_band.dsp import (
    Bus,
    Clock,
    fade,
    frequency_of,
    harmonics_below,
    lowpass_gain,
    make_table,
    play_table,
    reverberate,
)
from soloist.datasets.synthetic_band.song import Chord, Note

BASS_TOP = 4000.0  # Hz
KEYS_TOP = 12000.0


def play_bass(notes: Sequence[Note], clock: Clock, rng: np.random.Generator) -> NDArray[np.float64]:
    """Render bass notes `(2, samples)`: a saw or square through a closing filter, plus a sine."""
    odd_only = bool(rng.random() < 0.3)
    sub = float(rng.uniform(0.25, 0.6))
    opening = float(rng.uniform(350, 900))
    closing = float(rng.uniform(0.08, 0.3))
    bus = Bus(clock)
    for note in notes:
        first, times = clock.place(note.start, note.duration)
        if first >= clock.samples:
            continue
        frequency = frequency_of(note.pitch)
        bright, dark = (
            _filtered_saw(frequency, cutoff, min(BASS_TOP, clock.nyquist), odd_only)
            for cutoff in (frequency + opening * note.velocity, 1.8 * frequency)
        )
        cycles = frequency * times
        opened = np.exp(-times / closing)
        tone = opened * play_table(bright, cycles) + (1 - opened) * play_table(dark, cycles)
        tone += sub * np.sin(2 * np.pi * cycles)
        envelope = fade(times, note.duration, 0.004, 0.03) * (0.6 + 0.4 * np.exp(-times / 0.25))
        bus.add(first, 0.3 * note.velocity * tone * envelope)
    return bus.audio


def _filtered_saw(frequency: float, cutoff: float, top: float, odd_only: bool) -> NDArray[np.float64]:
    numbers = harmonics_below(frequency, top)
    amplitudes = lowpass_gain(numbers * frequency, cutoff, resonance=1.1) / numbers
    if odd_only:
        amplitudes = amplitudes * (numbers % 2)
    return make_table(0.6 * amplitudes)


def play_chords(
    chords: Sequence[Chord], keys: Sequence[Note], clock: Clock, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Render pads and plucked keys `(2, samples)`, wide and reverberant."""
    balance = float(rng.uniform(0.3, 0.7))
    pad = _play_pad(chords, clock, rng)
    plucked = _play_keys(keys, clock, rng)
    dry = balance * pad + (1 - balance) * plucked
    return reverberate(dry, clock, rng, decay=float(rng.uniform(0.6, 1.4)), amount=0.08)


def _play_pad(chords: Sequence[Chord], clock: Clock, rng: np.random.Generator) -> NDArray[np.float64]:
    cutoff = float(rng.uniform(700, 2500))
    slope = float(rng.uniform(0.8, 1.4))
    detune = float(rng.uniform(0.002, 0.005))
    throb, depth = float(rng.uniform(0.3, 5.0)), float(rng.uniform(0.05, 0.3))
    bus = Bus(clock)
    for chord in chords:
        # The release overlaps with the next chord.
        duration = chord.duration + 0.15
        first, times = clock.place(chord.start, duration)
        if first >= clock.samples:
            continue
        swell = 1 - depth / 2 + depth / 2 * np.sin(2 * np.pi * throb * (chord.start + times))
        envelope = fade(times, duration, 0.12, 0.25) * swell
        for pitch in chord.pitches:
            frequency = frequency_of(pitch)
            numbers = harmonics_below(frequency, min(KEYS_TOP, 0.97 * clock.nyquist))
            table = make_table(lowpass_gain(numbers * frequency, cutoff) / numbers**slope)
            # Width: slightly flat on the left, slightly sharp on the right.
            sides = [play_table(table, frequency * (1 + cents) * times) for cents in (-detune, detune)]
            bus.add(first, 0.16 * envelope * np.stack(sides))
    return bus.audio


def _play_keys(notes: Sequence[Note], clock: Clock, rng: np.random.Generator) -> NDArray[np.float64]:
    pluck_point = float(rng.uniform(0.11, 0.45))
    brightness = float(rng.uniform(1500, 6000))
    decay = float(rng.uniform(0.2, 0.7))
    width = float(rng.uniform(0.3, 0.8))
    drift, depth = float(rng.uniform(0.4, 1.2)), float(rng.uniform(0.0005, 0.002))
    bus = Bus(clock)
    for note in notes:
        first, times = clock.place(note.start, note.duration)
        if first >= clock.samples:
            continue
        frequency = frequency_of(note.pitch)
        numbers = harmonics_below(frequency, min(KEYS_TOP, 0.97 * clock.nyquist))
        # A plucked string lacks the partials with a node at the plucking point.
        amplitudes = np.abs(np.sin(np.pi * numbers * pluck_point)) / numbers
        struck = make_table(amplitudes * lowpass_gain(numbers * frequency, brightness * note.velocity))
        settled = make_table(amplitudes * lowpass_gain(numbers * frequency, 2.0 * frequency))
        wobble = depth / drift * np.sin(2 * np.pi * drift * (note.start + times))
        cycles = frequency * (times + wobble)
        tone = 0.5 * np.exp(-times / (0.3 * decay)) * play_table(struck, cycles)
        tone += 0.5 * np.exp(-times / decay) * play_table(settled, cycles)
        tone *= note.velocity * fade(times, note.duration, 0.003, 0.06)
        # Low notes on the left, high notes on the right, as on a keyboard.
        pan = float(np.clip(width * (note.pitch - 69) / 12, -0.9, 0.9))
        bus.add(first, 0.45 * tone, pan=pan)
    return bus.audio
