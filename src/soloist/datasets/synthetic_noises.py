"""Synthetic noises: hum of the mains, fans and clicks, from seeds, for trainings of denoisers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from soloist.audio import Audio
from soloist.datasets.synthetic_band.dsp import Clock, band_gain, noise
from soloist.errors import UsageError

NoiseKind = Literal["hum", "fan", "clicks"]

PEAK = 0.7


def synthesize_noise(kind: NoiseKind, duration: float, *, seed: int = 0, sample_rate: int = 16000) -> Audio:
    """Synthesise a noise; equal arguments give equal samples.

    Args:
        kind: "hum": harmonics of the mains at 50 or 60 Hz; "fan": broadband noise of a spectrum of its own
            with tones of the blades; "clicks": keys, relays and crackle, decaying impulses at random times.
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
    rate, numbers = rng.uniform(40, 250), np.arange(1.0, rng.integers(2, 8))
    tones = _tones(clock, rate * numbers, rng.lognormal(0, 0.5, len(blades)) / numbers, rng)
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
}
