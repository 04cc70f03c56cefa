"""Synthetic noises, such as hum of the mains, motors and cries, from seeds, for trainings of denoisers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from soloist.audio import Audio
from soloist.datasets.synthetic_band.dsp import Clock, band_gain, noise
from soloist.errors import UsageError

NoiseKind = Literal["hum", "fan", "clicks", "motor", "waves", "cries"]

PEAK = 0.7


def synthesize_noise(kind: NoiseKind, duration: float, *, seed: int = 0, sample_rate: int = 16000) -> Audio:
    """Synthesise a noise; equal arguments give equal samples.

    Args:
        kind: "hum": harmonics of the mains at 50 or 60 Hz; "fan": broadband noise of a spectrum of its own
            with tones of the blades; "clicks": keys, relays and crackle, decaying impulses at random times;
            "motor": regular bursts, from a rotor to a saw, whose speed wavers; "waves": coloured noise that
            swells and fades; "cries": voiced calls with gliding pitch, as of animals and horns.
        duration: Length in seconds, rounded to whole samples, at least one.
        seed: Number of the noise, not negative.
        sample_rate: Sample rate in Hz.

    Returns:
        Audio `(1, samples)` with a peak of 0.7.

    Raises:
        UsageError: The kind is unknown, or a number is out of range.
    """
    if kind not in get_args(NoiseKind):
        raise UsageError(f"kind {kind!r} of noise is none of {', '.join(get_args(NoiseKind))}")
    if seed < 0 or not 0.5 < duration * sample_rate < math.inf:
        raise UsageError(f"seed {seed} must be 0 or more, and duration {duration} s a sample or longer")
    clock = Clock(sample_rate, round(duration * sample_rate))
    rng = np.random.default_rng([seed, list(_SYNTHESES).index(kind)])
    audio = _SYNTHESES[kind](clock, rng)
    return (audio[None] * PEAK / max(float(np.abs(audio).max()), 1e-9)).astype(np.float32)


def _hum(clock: Clock, rng: np.random.Generator) -> NDArray[np.float64]:
    mains = rng.choice([50.0, 60.0]) * rng.uniform(0.998, 1.002)
    numbers = np.arange(1, min(40, int(clock.nyquist / mains)))
    slope, even = rng.uniform(0.5, 1.5), rng.uniform(0.3, 3.0)
    levels = rng.lognormal(0, 0.7, len(numbers)) * np.where(numbers % 2, 1, even) / numbers**slope
    return _tones(clock, mains * numbers, levels, rng)


def _fan(clock: Clock, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise that falls towards high frequencies, with a resonance, and tones of the blades."""
    low, steepness = rng.uniform(30, 150), rng.uniform(0.4, 1.4)
    frequencies = np.fft.rfftfreq(clock.samples, 1 / clock.sample_rate)
    shape = (1 + frequencies / low) ** -steepness
    centre = np.exp(rng.uniform(np.log(150), np.log(3000)))
    shape = shape * (1 + rng.uniform(0, 3) * band_gain(frequencies, centre / 1.3, centre * 1.3))
    rush = np.fft.irfft(np.fft.rfft(rng.standard_normal(clock.samples)) * shape, clock.samples)
    lowest, numbers = rng.uniform(40, 250), np.arange(1.0, rng.integers(2, 8))
    tones = _tones(clock, lowest * numbers, rng.lognormal(0, 0.5, len(numbers)) / numbers, rng)
    return rush / _level(rush) + rng.uniform(0, 0.8) * tones / _level(tones)


def _clicks(clock: Clock, rng: np.random.Generator) -> NDArray[np.float64]:
    audio = 1e-3 * noise(rng, clock, clock.samples, 100, 6000)
    rate = np.exp(rng.uniform(np.log(2), np.log(40)))
    spread, decay = rng.uniform(0.1, 1.0), np.exp(rng.uniform(np.log(0.001), np.log(0.03)))
    for start in rng.uniform(0, clock.samples, max(1, rng.poisson(rate * clock.samples / clock.sample_rate))):
        first = int(start)
        times = (
            np.arange(min(clock.samples - first, round(8 * decay * clock.sample_rate))) / clock.sample_rate
        )
        low = np.exp(rng.uniform(np.log(100), np.log(2000)))
        burst = noise(rng, clock, len(times), low, 4 * low) * np.exp(-times / decay)
        audio[first : first + len(times)] += rng.lognormal(0, spread) * burst
    return audio


def _motor(clock: Clock, rng: np.random.Generator) -> NDArray[np.float64]:
    """Impulses at a wavering rate through resonances, with noise that they modulate."""
    rate = _between(rng, 8, 160) * 2 ** (rng.uniform(0, 0.5) * _wander(clock, rng, rng.uniform(0.1, 3)))
    turns = np.cumsum(rate) / clock.sample_rate
    strokes = int(rng.integers(1, 5))
    strengths = rng.lognormal(0, 0.4, strokes)[np.floor(turns).astype(int) % strokes]
    strengths = strengths * 10 ** (rng.uniform(0, 0.2) * _wander(clock, rng, 30))
    sharpness = _between(rng, 2, 30)
    course = strengths * np.exp(sharpness * (np.cos(2 * np.pi * turns) - 1))
    rush = rng.standard_normal(clock.samples) * (rng.uniform(0, 0.3) + course)
    pulses = np.diff(course, prepend=course[0])
    mixed = pulses / _level(pulses) + rng.uniform(0.2, 3) * rush / _level(rush)
    sound = _filtered(mixed, clock, rng)
    return sound * 10 ** (rng.uniform(0, 0.5) * _wander(clock, rng, 1.0))


def _waves(clock: Clock, rng: np.random.Generator) -> NDArray[np.float64]:
    """Two coloured noises, each with a level of its own that wanders by up to 30 dB."""
    total = np.zeros(clock.samples)
    for _ in range(2):
        coloured = _filtered(rng.standard_normal(clock.samples), clock, rng)
        course = 10 ** (rng.uniform(0.1, 0.75) * _wander(clock, rng, _between(rng, 0.2, 6)))
        total += rng.lognormal(0, 0.7) * course * coloured / _level(coloured)
    return total


def _cries(clock: Clock, rng: np.random.Generator) -> NDArray[np.float64]:
    """Calls of one voice: harmonics of a gliding pitch through resonances, partly hoarse."""
    audio = 1e-3 * noise(rng, clock, clock.samples, 100, 6000)
    pitch, length = _between(rng, 150, 1200), _between(rng, 0.05, 1.2)
    pause, hoarse = _between(rng, 0.05, 1.0), rng.uniform(0, 0.8)
    gain, span = _resonances(clock, rng), rng.uniform(0.05, 0.8)
    start = rng.uniform(0, pause)
    while (first := int(start * clock.sample_rate)) < clock.samples - 64:
        lasts = length * rng.lognormal(0, 0.3)
        samples = min(clock.samples - first, max(64, int(lasts * clock.sample_rate)))
        audio[first : first + samples] += rng.lognormal(0, 0.3) * _call(
            clock, rng, samples, pitch * rng.lognormal(0, 0.06), span, hoarse
        )
        start += lasts + pause * rng.lognormal(0, 0.5)
    return np.fft.irfft(np.fft.rfft(audio) * gain, clock.samples)


def _call(
    clock: Clock, rng: np.random.Generator, samples: int, pitch: float, span: float, hoarse: float
) -> NDArray[np.float64]:
    """One call, whose pitch goes through three random values within `span` octaves."""
    way = np.linspace(0, 1, samples)
    glide = np.interp(way, [0, rng.uniform(0.2, 0.8), 1], rng.uniform(-span, span, 3))
    duration = samples / clock.sample_rate
    vibrato = rng.uniform(0, 0.03) * np.sin(2 * np.pi * rng.uniform(4, 12) * way * duration)
    phase = 2 * np.pi * np.cumsum(pitch * 2 ** (glide + vibrato)) / clock.sample_rate
    numbers = np.arange(1, max(2, min(24, int(0.9 * clock.nyquist / (pitch * 2**span)))))
    levels = numbers ** -rng.uniform(0.3, 1.5) * rng.lognormal(0, 0.4, len(numbers))
    voice = (levels[:, None] * np.sin(numbers[:, None] * phase)).sum(axis=0)
    breath = rng.standard_normal(samples)
    attack, release = rng.uniform(0.02, 0.3), rng.uniform(0.1, 0.7)
    envelope = np.minimum(1, way / attack) * np.minimum(1, (1 - way) / release)
    return envelope * (voice / _level(voice) + hoarse * breath)


def _filtered(sound: NDArray[np.float64], clock: Clock, rng: np.random.Generator) -> NDArray[np.float64]:
    """Colour a sound by random resonances."""
    return np.fft.irfft(np.fft.rfft(sound) * _resonances(clock, rng), clock.samples)


def _resonances(clock: Clock, rng: np.random.Generator) -> NDArray[np.floating[Any]]:
    """Amplitude gain at each frequency: a random slope and up to four resonances."""
    frequencies = np.fft.rfftfreq(clock.samples, 1 / clock.sample_rate)
    shape = (1 + frequencies / _between(rng, 50, 2000)) ** -rng.uniform(0, 2)
    for _ in range(rng.integers(1, 5)):
        centre, width = _between(rng, 100, 6000), _between(rng, 1.05, 2)
        shape = shape + shape * rng.uniform(0, 6) * band_gain(frequencies, centre / width, centre * width)
    return shape


def _wander(clock: Clock, rng: np.random.Generator, rate: float) -> NDArray[np.float64]:
    """Random course within about -1 to 1 that turns `rate` times a second."""
    knots = rng.uniform(-1, 1, 2 + math.ceil(rate * clock.samples / clock.sample_rate))
    return np.interp(np.linspace(0, len(knots) - 1, clock.samples), np.arange(len(knots)), knots)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a value uniformly on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _tones(
    clock: Clock, frequencies: NDArray[np.float64], levels: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Sum of sinusoids `(tones,)` with random phases, whose common level wavers slowly."""
    times = np.arange(clock.samples) / clock.sample_rate
    total = np.zeros(clock.samples)
    for frequency, level, phase in zip(
        frequencies, levels, rng.uniform(0, 2 * np.pi, len(levels)), strict=True
    ):
        total += level * np.sin(2 * np.pi * frequency * times + phase)
    waver = rng.uniform(0, 0.3) * np.sin(2 * np.pi * rng.uniform(0.1, 4) * times)
    wavering: NDArray[np.float64] = total * (1 + waver)
    return wavering


def _level(signal: NDArray[np.float64]) -> float:
    return max(float(np.sqrt(np.mean(signal**2))), 1e-9)


_SYNTHESES: dict[NoiseKind, Callable[[Clock, np.random.Generator], NDArray[np.float64]]] = {
    "hum": _hum,
    "fan": _fan,
    "clicks": _clicks,
    "motor": _motor,
    "waves": _waves,
    "cries": _cries,
}
