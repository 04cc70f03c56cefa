"""Augmentations of the spectrum: rooms and band limits.

NumPy's transforms give the same bits in every process and for any number of threads, unlike some others.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soloist.audio import AUDIO_SUFFIXES, Audio, read_audio, resample_audio
from soloist.errors import AudioError, UsageError
from soloist.files import expand_home
from soloist.mixing.augment.augmentation import Augmentation

Range = tuple[float, float]

SLOPE = 0.5
"""Width of a filter's slope, octaves."""

RINGING = 0.25
"""Length of a filter's impulse response, seconds."""


class RoomResponse(Augmentation):
    """Convolution of each source with a measured or simulated impulse response of a room.

    The references include the reverberation, so that they sum to the mixture: a separator learns to separate,
    not to dereverberate. The part before the direct sound, the largest sample, is cut off, so that the filter
    has no delay. Responses are scaled to unit energy, which keeps the level of noise. A response with another
    number of channels than the sources is applied by its first channel.

    Args:
        folder: Folder of the responses, audio files at any depth.
        sample_rate: Sample rate of the sources, Hz; responses of other rates are resampled.
        p: Probability of a room for each source.
        seed: Seed of the choice of rooms.

    Raises:
        UsageError: There is no such folder or no audio file in it, or `p` is not a probability.
    """

    def __init__(self, folder: str | Path, *, sample_rate: int, p: float = 1.0, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)
        self.folder = expand_home(folder)
        self.sample_rate = sample_rate
        self._files = sorted(
            path
            for path in self.folder.rglob("*")
            if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()
        )
        if not self._files:
            raise UsageError(f"RoomResponse: there are no audio files in {self.folder}")

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Convolve the sources; see `Augmentation.apply`.

        Raises:
            AudioError: A response cannot be read, or is silent.
        """
        files = rng.integers(len(self._files), size=len(references))
        wet = references.copy()
        for place in np.flatnonzero(self.chosen(rng, len(references))):
            wet[place] = convolve(references[place], _response(self._files[files[place]], self.sample_rate))
        return wet


class BandLimit(Augmentation):
    """Random high-pass and low-pass filters, the same for all sources of an example.

    Band limits imitate old recordings, telephones and perceptual codecs at low bit rates. The filters have
    zero phase and slopes of half an octave.

    Args:
        lower: Range of the lower limit, Hz, drawn uniformly on a scale of octaves. If None, there is no
            high-pass filter.
        upper: Range of the upper limit, Hz, drawn likewise. If None, there is no low-pass filter.
        sample_rate: Sample rate of the sources, Hz.
        p: Probability of a variation of an example.
        seed: Seed of the limits.

    Raises:
        UsageError: A range is reversed or not between 0 and half the sample rate, there is no range, or `p`
            is not a probability.
    """

    def __init__(
        self,
        lower: Range | None = None,
        upper: Range | None = None,
        *,
        sample_rate: int,
        p: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__(p=p, seed=seed)
        if lower is None and upper is None:
            raise UsageError("BandLimit: give the range of a limit, lower or upper")
        highest = sample_rate / 2
        for limit in filter(None, (lower, upper)):
            if not 0 < limit[0] <= limit[1] <= highest:
                raise UsageError(f"BandLimit: {list(limit)} is no range between 0 and {highest:g} Hz")
        self.lower = lower
        self.upper = upper
        self.sample_rate = sample_rate

    def apply(self, references: Audio, rng: np.random.Generator) -> Audio:
        """Filter the sources; see `Augmentation.apply`."""
        limits = [
            None if limit is None else np.exp2(rng.uniform(*np.log2(limit)))
            for limit in (self.lower, self.upper)
        ]
        if not self.chosen(rng, 1)[0]:
            return references
        size = _fast_size(references.shape[-1] + round(RINGING * self.sample_rate))
        return _multiply_spectrum(references, self._response(size, *limits), size)

    def _response(self, size: int, lower: float | None, upper: float | None) -> Audio:
        """Amplitude gain at each frequency of a transform; one half at the limits."""
        frequencies = np.fft.rfftfreq(size, 1 / self.sample_rate)
        octaves = np.log2(np.maximum(frequencies, frequencies[1] / 2))
        gain = np.ones_like(octaves)
        if lower is not None:
            gain *= _step(octaves - np.log2(lower))
        if upper is not None:
            gain *= _step(np.log2(upper) - octaves)
        return gain.astype(np.float32)


def convolve(source: Audio, response: Audio) -> Audio:
    """Convolve a source `(channels, samples)` with a response `(any channels, taps)`; the length stays."""
    if len(response) != len(source):
        response = response[:1]
    size = _fast_size(source.shape[1] + response.shape[1])
    return _multiply_spectrum(source, np.fft.rfft(response, size), size)


@lru_cache(maxsize=64)
def _response(path: Path, sample_rate: int) -> Audio:
    """Read a response `(channels, taps)`; see `from_direct_sound`."""
    response, rate = read_audio(path)
    if not response.any():
        raise AudioError(f"{path} is silent, so it is not the response of a room")
    return from_direct_sound(response if rate == sample_rate else resample_audio(response, rate, sample_rate))


def from_direct_sound(response: Audio) -> Audio:
    """Cut a response `(channels, taps)` before its largest sample, and scale the channels to unit energy."""
    response = response[:, np.abs(response).max(axis=0).argmax() :]
    return response / np.float32(np.sqrt(np.square(response).sum(axis=1).mean()))


def _step(octaves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rise smoothly from 0 to 1 within half an octave."""
    way: NDArray[np.float64] = np.sin(np.pi / 2 * np.clip(0.5 + octaves / SLOPE, 0, 1)) ** 2
    return way


def _fast_size(samples: int) -> int:
    """Smallest length of at least `samples` with a fast transform: a small number times a power of two."""
    unit = 1 << max(0, samples.bit_length() - 4)
    return -(-samples // unit) * unit


def _multiply_spectrum(signals: Audio, response: NDArray[np.inexact], size: int) -> Audio:
    """Filter signals by multiplication of their spectra with a frequency response.

    Args:
        signals: `(..., samples)`.
        response: `(..., size // 2 + 1)`, at the frequencies from 0 to half the sample rate.
        size: Length of the transform; at least the signals' length plus that of the impulse response, or the
            result wraps around.

    Returns:
        Filtered signals of the same shape.
    """
    filtered = np.fft.irfft(np.fft.rfft(signals, size) * response, size)
    return filtered[..., : signals.shape[-1]].astype(np.float32)
