"""Excerpts of stems at the rate, the number of channels and the length that training wants."""

from __future__ import annotations

import math

import numpy as np

from soloist.audio import resample_audio
from soloist.datasets.track import Stem
from soloist.mixing.example import Signal


def read_excerpt(stem: Stem, start: float, samples: int, sample_rate: int, channels: int) -> Signal:
    """Read an excerpt of exactly `samples` samples; what lies beyond the end is silent.

    Only the excerpt is decoded, not the whole file.

    Args:
        stem: What to read.
        start: Where the excerpt begins, seconds.
        samples: Its length at `sample_rate`.
        sample_rate: Rate that is wanted, Hz; audio of another one is resampled.
        channels: Channels that are wanted: of one channel all are copies, more are averaged to one.

    Returns:
        `(channels, samples)`.

    Raises:
        AudioError: The stem cannot be read, or has neither one nor `channels` channels.
    """
    excerpt = np.zeros((channels, samples), np.float32)
    if start >= stem.duration:
        return excerpt
    audio, rate = stem.read(start, samples / sample_rate)
    if rate != sample_rate:
        audio = resample_audio(audio, rate, sample_rate)
    audio = to_channels(audio, channels)[:, :samples]
    excerpt[:, : audio.shape[1]] = audio
    return excerpt


def to_channels(audio: Signal, channels: int) -> Signal:
    """Audio `(any, samples)` with the number of channels that is wanted: copied, averaged, or as it is."""
    if audio.shape[0] == channels:
        return audio
    if channels == 1:
        return audio.mean(axis=0, keepdims=True)
    return np.broadcast_to(audio.mean(axis=0, keepdims=True), (channels, audio.shape[1]))


def whole_length(stem: Stem, sample_rate: int) -> int:
    """Samples of a whole stem at a sample rate."""
    return max(1, math.ceil(stem.duration * sample_rate))


def draw_start(rng: np.random.Generator, stem: Stem, duration: float) -> float:
    """A time from which `duration` seconds can be read, each equally likely; 0 where the stem is shorter.

    It lies on a sample of the file, so that what is read does not depend on rounding.
    """
    latest = max(0, int((stem.duration - duration) * stem.sample_rate))
    return int(rng.integers(latest + 1)) / stem.sample_rate


def level(signal: Signal) -> float:
    """Root mean square of a signal over all of its samples."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))
