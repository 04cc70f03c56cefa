"""Synthesis: time grids, wavetables, filtered noise, reverberation, a stereo bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TABLE_SIZE = 2048
TABLE_HARMONICS = 400  # Enough for the lowest bass note.
NOISE_REFERENCE_RATE = 44100


@dataclass(frozen=True)
class Clock:
    """Time grid of the samples of a song.

    Args:
        sample_rate: Sample rate in Hz.
        samples: Length of the song in samples.
    """

    sample_rate: int
    samples: int

    @property
    def nyquist(self) -> float:
        """Half the sample rate, Hz."""
        return self.sample_rate / 2

    def place(self, start: float, duration: float) -> tuple[int, NDArray[np.float64]]:
        """First sample at or after `start`, and the times of the samples within `duration`, in seconds.

        The times are relative to `start` itself, so that an event sounds the same at any position between two
        samples and at every rate.
        """
        first = int(np.ceil(start * self.sample_rate))
        count = max(0, int(np.ceil((start + duration) * self.sample_rate)) - first)
        return first, (first + np.arange(count)) / self.sample_rate - start


class Bus:
    """Sum of stereo signals `(2, samples)` over the length of a song."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.audio: NDArray[np.float64] = np.zeros((2, clock.samples))

    def add(self, first: int, signal: NDArray[np.float64], *, pan: float = 0.0) -> None:
        """Add a signal at a sample, without its parts outside the song.

        Args:
            first: First sample of the signal; may be negative.
            signal: `(samples,)`, panned with constant power, or `(2, samples)`, balanced.
            pan: Panorama from -1 (left) to 1 (right).
        """
        begin, end = max(first, 0), min(first + signal.shape[-1], self.clock.samples)
        if begin < end:
            self.audio[:, begin:end] += pan_gains(pan) * np.atleast_2d(signal)[:, begin - first : end - first]


def pan_gains(pan: float) -> NDArray[np.float64]:
    """Gains `(2, 1)` of left and right with constant power; 1 each in the middle."""
    angle = (pan + 1) * np.pi / 4
    return np.sqrt(2) * np.array([[np.cos(angle)], [np.sin(angle)]])


def frequency_of(pitch: float) -> float:
    """Frequency in Hz of a MIDI pitch (69 is 440 Hz)."""
    return float(440.0 * 2 ** ((pitch - 69) / 12))


def lowpass_gain(
    frequencies: NDArray[np.float64], cutoff: float, resonance: float = 0.7
) -> NDArray[np.float64]:
    """Magnitude of a resonant second-order low-pass at frequencies in Hz."""
    ratio = frequencies / cutoff
    return 1 / np.sqrt((1 - ratio**2) ** 2 + (ratio / resonance) ** 2)


def band_gain(frequencies: NDArray[np.floating[Any]], low: float, high: float) -> NDArray[np.float64]:
    """Magnitude of a band-pass from `low` to `high` Hz with smooth slopes of 24 dB per octave."""
    with np.errstate(divide="ignore", over="ignore"):
        return 1 / np.sqrt((1 + (low / frequencies) ** 8) * (1 + (frequencies / high) ** 8))


def harmonics_below(frequency: float, limit: float) -> NDArray[np.float64]:
    """Numbers `(harmonics,)` of the harmonics of a tone below a limit in Hz."""
    return np.arange(1, min(TABLE_HARMONICS, int(limit / frequency - 1e-9)) + 1, dtype=np.float64)


def make_table(amplitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make one period `(TABLE_SIZE + 1,)` of a tone from the amplitudes of its harmonics."""
    spectrum = np.zeros(TABLE_SIZE // 2 + 1, dtype=np.complex128)
    spectrum[1 : len(amplitudes) + 1] = -0.5j * TABLE_SIZE * amplitudes
    period = np.fft.irfft(spectrum, TABLE_SIZE)
    return np.append(period, period[0])


def play_table(table: NDArray[np.float64], cycles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Read a table at phases in cycles `(samples,)`, with linear interpolation."""
    position = (cycles % 1.0) * TABLE_SIZE
    index = position.astype(np.intp)
    below = table[index]
    return below + (position - index) * (table[index + 1] - below)


def fade(times: NDArray[np.float64], duration: float, attack: float, release: float) -> NDArray[np.float64]:
    """Envelope that rises during `attack` and falls during the last `release` seconds of `duration`."""
    return np.clip(np.minimum(times / attack, (duration - times) / release), 0.0, 1.0)


def noise(rng: np.random.Generator, clock: Clock, count: int, low: float, high: float) -> NDArray[np.float64]:
    """Draw noise `(count,)` in a band from `low` to `high` Hz, with equal density at every sample rate."""
    white = rng.standard_normal(count) * np.sqrt(clock.sample_rate / NOISE_REFERENCE_RATE)
    if count == 0:
        return white
    frequencies = np.fft.rfftfreq(count, 1 / clock.sample_rate)
    return np.fft.irfft(np.fft.rfft(white) * band_gain(frequencies, low, high), count)


def reverberate(
    audio: NDArray[np.float64],
    clock: Clock,
    rng: np.random.Generator,
    *,
    decay: float,
    amount: float,
    predelay: float = 0.012,
) -> NDArray[np.float64]:
    """Add reverberation by convolution with decaying noise, independent in each channel.

    Args:
        audio: `(2, samples)`.
        clock: Time grid of the song.
        rng: Random generator of the noise.
        decay: Reverberation time (60 dB) in seconds.
        amount: Energy of the impulse response relative to the direct sound.
        predelay: Seconds before the first echo.

    Returns:
        Direct and reverberant sound `(2, samples)`.
    """
    times = np.arange(max(1, round(decay * clock.sample_rate))) / clock.sample_rate
    envelope = 10 ** (-3 * times / decay) * (times >= predelay)
    response = np.stack([noise(rng, clock, len(times), 250.0, 5000.0) for _ in range(2)]) * envelope
    energy = np.sqrt((response**2).sum(axis=-1, keepdims=True))
    return audio + convolve(audio, response * (np.sqrt(amount) / np.maximum(energy, 1e-12)))


def convolve(audio: NDArray[np.float64], response: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve each channel `(channels, samples)` with its response `(channels, taps)`; the length stays.

    Blocks of a few lengths of the response limit the size of the transforms and their memory.
    """
    samples, taps = audio.shape[-1], response.shape[-1]
    size = 1 << max(12, (2 * taps).bit_length())
    hop = size - taps + 1
    spectrum = np.fft.rfft(response, size)
    output = np.zeros((len(audio), samples + size))
    for begin in range(0, samples, hop):
        block = np.fft.rfft(audio[:, begin : begin + hop], size) * spectrum
        output[:, begin : begin + size] += np.fft.irfft(block, size)
    return output[:, :samples]
