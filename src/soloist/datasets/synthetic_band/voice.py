"""Lead voice: pulses and breath through moving formants.

The voice is a source-filter model (Fant, Acoustic Theory of Speech Production, 1960) with band-limited pulses
(Stilson and Smith, Alias-Free Digital Synthesis of Classic Analog Waveforms, ICMC 1996). Pitch, formants and
level are drawn on a control grid, so that the performance is the same at every sample rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soloist.datasets.synthetic_band.dsp import Bus, Clock, fade, noise, reverberate
from soloist.datasets.synthetic_band.song import Note

CONTROL_RATE = 200  # Hz, rate of pitch, formants and level.
FRAME = 0.032  # Seconds of constant formants.
MARGIN = 0.2  # Seconds around a phrase, for consonants and releases.
VOICE_TOP = 12000.0  # Hz

# Formants of a, e, i, o, u in Hz, after Peterson and Barney, Control Methods Used in a Study of the Vowels,
# 1952, with two more, nearly constant ones.
VOWELS = np.array(
    [
        [730.0, 1150.0, 2500.0, 3400.0, 4400.0],
        [530.0, 1840.0, 2500.0, 3500.0, 4500.0],
        [290.0, 2250.0, 2950.0, 3600.0, 4600.0],
        [500.0, 850.0, 2450.0, 3300.0, 4300.0],
        [320.0, 780.0, 2300.0, 3250.0, 4300.0],
    ]
)
BANDWIDTHS = np.array([90.0, 110.0, 160.0, 220.0, 300.0])
# Alternating signs: neighbours do not cancel between their peaks.
LEVELS = np.array([1.0, -0.7, 0.45, -0.3, 0.15])


@dataclass(frozen=True)
class Consonant:
    """Consonant before a note: noise from `low` to `high` Hz over an attenuated voice.

    Args:
        length: Length before the note in seconds.
        voiced: Level of the voice during the consonant, relative to the note.
        level: Level of the noise.
        low: Lower end of the noise, Hz.
        high: Upper end of the noise, Hz.
    """

    length: float
    voiced: float
    level: float = 0.0
    low: float = 0.0
    high: float = 0.0


CONSONANTS = (
    Consonant(0.05, voiced=1.0),  # none: the notes are tied
    Consonant(0.07, voiced=0.35),  # m, n, l
    Consonant(0.10, 0.0, 0.10, 4800.0, 9500.0),  # s
    Consonant(0.09, 0.0, 0.13, 2200.0, 6500.0),  # sh
    Consonant(0.07, 0.0, 0.05, 1200.0, 9000.0),  # f
    Consonant(0.02, 0.0, 0.22, 1500.0, 5000.0),  # t, k
)


@dataclass(frozen=True)
class Singer:
    """Voice of a singer: size of the throat, vibrato in Hz and semitones, breath, and spectral tilt.

    A Gaussian of `glide` seconds smooths the steps from pitch to pitch.
    """

    throat: float
    vibrato: float
    depth: float
    breath: float
    tilt: float
    glide: float = 0.025

    @classmethod
    def draw(cls, rng: np.random.Generator, pitch: float) -> Singer:
        """Draw a singer for a mean MIDI pitch; higher voices have shorter throats."""
        throat = 1 + 0.012 * (pitch - 55) + rng.uniform(-0.05, 0.05)
        vibrato, depth = rng.uniform(4.8, 6.4), rng.uniform(0.15, 0.45)
        breath, tilt = rng.uniform(0.02, 0.08), rng.uniform(0.7, 1.1)
        return cls(*(float(value) for value in (throat, vibrato, depth, breath, tilt)))


@dataclass(frozen=True)
class Contour:
    """Pitch, level and formants of a phrase over control times `(points,)` in seconds.

    Args:
        times: Control times.
        pitch: MIDI pitch `(points,)`.
        level: Level of the voice `(points,)`.
        formants: Frequencies of the formants in Hz `(5, points)`.
    """

    times: NDArray[np.float64]
    pitch: NDArray[np.float64]
    level: NDArray[np.float64]
    formants: NDArray[np.float64]

    def formants_at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate the formants `(5, times)` at times in seconds."""
        return np.stack([np.interp(times, self.times, track) for track in self.formants])


def play_voice(
    phrases: Sequence[Sequence[Note]], clock: Clock, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Render the phrases of the lead `(2, samples)`, in the middle, with a little reverberation."""
    singer = Singer.draw(rng, float(np.mean([note.pitch for note in phrases[0]])))
    bus = Bus(clock)
    pan = float(rng.uniform(-0.12, 0.12))
    decay, amount = float(rng.uniform(0.7, 1.6)), float(rng.uniform(0.02, 0.06))
    words, air = (np.random.default_rng(rng.integers(1 << 63)) for _ in range(2))
    for phrase in phrases:
        perform(bus, phrase, singer, words, air, pan=pan)
    return reverberate(bus.audio, clock, rng, decay=decay, amount=amount, predelay=0.03)


def perform(
    bus: Bus,
    phrase: Sequence[Note],
    singer: Singer,
    words: np.random.Generator,
    air: np.random.Generator,
    *,
    pan: float = 0.0,
) -> None:
    """Add a phrase to a bus, unless the phrase begins after its end.

    Args:
        bus: Bus of the song.
        phrase: Syllables of the phrase, in the order of time.
        singer: Voice of the phrase.
        words: Random generator of vowels and consonants.
        air: Random generator of breath and hiss.
        pan: Panorama from -1 (left) to 1 (right).
    """
    consonants = [CONSONANTS[kind] for kind in words.integers(len(CONSONANTS), size=len(phrase))]
    contour = _draw_contour(phrase, consonants, singer, words)
    if phrase[0].start - MARGIN < bus.clock.samples / bus.clock.sample_rate:
        _sing(bus, contour, singer, air, pan)
        _speak_consonants(bus, phrase, consonants, air, pan)


def _draw_contour(
    phrase: Sequence[Note], consonants: Sequence[Consonant], singer: Singer, rng: np.random.Generator
) -> Contour:
    starts = np.array([note.start for note in phrase])
    begin, end = starts[0] - MARGIN, phrase[-1].start + phrase[-1].duration + MARGIN
    times = begin + np.arange(int((end - begin) * CONTROL_RATE) + 1) / CONTROL_RATE
    # Transitions begin slightly before a note, and end with its beginning.
    index = np.maximum(np.searchsorted(starts, times + 0.02, side="right") - 1, 0)
    since = times - starts[index]
    pitch = _smooth(np.array([note.pitch for note in phrase], dtype=np.float64)[index], singer.glide)
    vibrato = singer.depth * np.clip((since - 0.2) / 0.3, 0, 1) * np.sin(2 * np.pi * singer.vibrato * times)
    drift = 0.5 * _smooth(rng.standard_normal(len(times)), 0.06)
    formants = _smooth(_draw_formants(phrase, index, since, rng), 0.03) * singer.throat
    level = _smooth(_level(phrase, consonants, times, index, since), 0.012)
    return Contour(times, pitch + vibrato + drift, level, formants)


def _draw_formants(
    phrase: Sequence[Note], index: NDArray[np.intp], since: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the formants `(5, points)` of a vowel for each note; some notes change the vowel half-way."""
    first = rng.integers(len(VOWELS), size=len(phrase))
    second = np.where(rng.random(len(phrase)) < 0.3, rng.integers(len(VOWELS), size=len(phrase)), first)
    half = np.array([note.duration / 2 for note in phrase])[index]
    return np.asarray(VOWELS[np.where(since < half, first[index], second[index])].T)


def _level(
    phrase: Sequence[Note],
    consonants: Sequence[Consonant],
    times: NDArray[np.float64],
    index: NDArray[np.intp],
    since: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Level `(points,)`: velocities of the notes with a swell, lowered during consonants."""
    velocities = np.array([note.velocity for note in phrase])[index]
    durations = np.array([note.duration for note in phrase])[index]
    sounding = (since > -0.01) & (since < durations)
    level = velocities * sounding * (0.75 + 0.25 * np.sin(np.pi * np.clip(since / durations, 0, 1)))
    for note, consonant in zip(phrase, consonants, strict=True):
        # Even the shortest consonant closes the mouth briefly.
        closed = max(consonant.length, 0.03)
        level[(times > note.start - closed) & (times < note.start)] *= consonant.voiced
    return level


def _smooth(values: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Smooth `(..., points)` along time with a Gaussian; its deviation is in seconds."""
    reach = int(np.ceil(3 * deviation * CONTROL_RATE))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (deviation * CONTROL_RATE)) ** 2)
    padding = [(0, 0)] * (values.ndim - 1) + [(reach, reach)]
    padded = np.pad(values, padding, mode="edge")
    return np.apply_along_axis(np.convolve, -1, padded, kernel / kernel.sum(), mode="valid")


def _sing(bus: Bus, contour: Contour, singer: Singer, rng: np.random.Generator, pan: float) -> None:
    clock = bus.clock
    begin, end = contour.times[[0, -1]]
    first, times = clock.place(begin, end - begin)
    frequency = 440 * 2 ** ((np.interp(times + begin, contour.times, contour.pitch) - 69) / 12)
    level = np.interp(times + begin, contour.times, contour.level)
    pulses = _pulses(frequency, clock)
    breath = singer.breath * noise(rng, clock, len(times), 800.0, VOICE_TOP)
    voice = _filter(level * (pulses + breath), begin, contour, singer.tilt, clock)
    bus.add(first, 0.2 * voice, pan=pan)


def _pulses(frequency: NDArray[np.float64], clock: Clock) -> NDArray[np.float64]:
    """Synthesise band-limited pulses `(samples,)` at a moving frequency in Hz.

    Dirichlet's kernel is the closed form of the sum of M cosines.
    """
    half_phase = np.pi * (np.cumsum(frequency) / clock.sample_rate % 1.0)
    count = np.floor(min(VOICE_TOP, 0.95 * clock.nyquist) / frequency)
    below = np.sin(half_phase)
    near = np.abs(below) < 1e-6
    kernel = np.sin((2 * count + 1) * half_phase) / np.where(near, 1.0, below)
    pulses = (np.where(near, 2 * count + 1, kernel) - 1) / 2
    # Equal energy at all pitches, for even loudness.
    return pulses * np.sqrt(frequency / 200)


def _filter(
    source: NDArray[np.float64], begin: float, contour: Contour, tilt: float, clock: Clock
) -> NDArray[np.float64]:
    """Filter a source `(samples,)` by the moving formants, in frames with windows that sum to one."""
    half = max(1, round(FRAME * clock.sample_rate / 2))
    count = -(-len(source) // half) + 1
    padded = np.pad(source, (half, (count + 1) * half - half - len(source)))
    window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * half) / half)
    halves = padded.reshape(count + 1, half)
    frames = np.concatenate([halves[:-1], halves[1:]], axis=1) * window
    # Padding to twice the length makes room for the filter's response on both sides.
    frequencies = np.fft.rfftfreq(4 * half, 1 / clock.sample_rate)
    centres = begin + np.arange(count) * half / clock.sample_rate
    response = _formant_response(frequencies, contour.formants_at(centres).T, tilt)
    spectra = np.fft.rfft(np.pad(frames, ((0, 0), (half, half))), axis=1) * response
    quarters = np.fft.irfft(spectra, 4 * half, axis=1).reshape(count, 4, half)
    output = np.zeros((count + 3, half))
    for part in range(4):
        output[part : part + count] += quarters[:, part]
    return output.reshape(-1)[2 * half : 2 * half + len(source)]


def _formant_response(
    frequencies: NDArray[np.floating[Any]], formants: NDArray[np.float64], tilt: float
) -> NDArray[np.complex128]:
    """Frequency response `(frames, bins)` of formants `(frames, 5)` in Hz and of the glottal source."""
    distance = (frequencies[None, :, None] - formants[:, None, :]) / (BANDWIDTHS / 2)
    resonance = (LEVELS / (1 + 1j * distance)).sum(axis=-1)
    glottis = 1 / (1 + 1j * frequencies / 350.0) ** tilt
    rumble = (frequencies / 60.0) ** 4 / (1 + (frequencies / 60.0) ** 4)
    return np.asarray(resonance * (glottis * rumble))


def _speak_consonants(
    bus: Bus, phrase: Sequence[Note], consonants: Sequence[Consonant], rng: np.random.Generator, pan: float
) -> None:
    for note, consonant in zip(phrase, consonants, strict=True):
        if consonant.level:
            # The noise overlaps the vowel slightly.
            duration = consonant.length + 0.015
            first, times = bus.clock.place(note.start - consonant.length, duration)
            hiss = noise(rng, bus.clock, len(times), consonant.low, consonant.high)
            envelope = fade(times, duration, 0.3 * consonant.length, 0.02)
            bus.add(first, consonant.level * note.velocity * envelope * hiss, pan=pan)
