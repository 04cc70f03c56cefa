"""Variations of the spectrum: rooms, and limits of the band.

NumPy's transforms give the same bits in every process and for any number of threads; not all others do.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soloist.audio import AUDIO_SUFFIXES, Audio, read_audio, resample_audio
from soloist.errors import AudioError, UsageError
from soloist.mixing.augment.augmentation import Augmentation

Range = tuple[float, float]

SLOPE = 0.5
"""Octaves that a filter takes from all to nothing."""

RINGING = 0.25
"""Seconds after which nothing is left of a filter's answer."""


class RoomResponse(Augmentation):
    """Puts each source into a room: convolves it with a measured or simulated impulse response.

    The references are what is heard in the room, with its reverberation, so that they sum to the mixture: a
    separator learns to separate, not to remove the room. What comes before the direct sound, the largest
    sample, is left out, so that nothing is delayed. Responses are scaled to unit energy: a noise keeps its
    level. A response that has another number of channels than the sources gives its first one to all.

    Args:
        folder: Where the responses are, at any depth, one an audio file.
        sample_rate: Rate of the sources, Hz; responses of other rates are resampled.
        p: Probability with which each source is put into a room.
        seed: Another seed draws other rooms.

    Raises:
        UsageError: There is no such folder or no audio file in it, or `p` is not a probability.
    """

    def __init__(self, folder: str | Path, *, sample_rate: int, p: float = 1.0, seed: int = 0) -> None:
        super().__init__(p=p, seed=seed)
        self.folder = Path(folder).expanduser()
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
            wet[place] = _convolve(references[place], _response(self._files[files[place]], self.sample_rate))
        return wet


class BandLimit(Augmentation):
    """Takes away what lies above or below a random frequency, from all sources of an example alike.

    It makes old recordings, telephones and low rates of perception codecs out of good recordings. The filter
    has no delay and no phase: it is applied to the spectrum, with a slope of half an octave.

    Args:
        lower: Range of the lower limit, Hz, drawn evenly on a scale of octaves; None keeps the lowest
            frequencies.
        upper: Range of the upper limit, Hz; None keeps the highest frequencies.
        sample_rate: Rate of the sources, Hz.
        p: Probability with which an example is varied.
        seed: Another seed draws other limits.

    Raises:
        UsageError: A range is upside down or not between 0 and half the sample rate, there is none, or `p` is
            not a probability.
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
        """The gain at each frequency of a transform; one half of the amplitude at the limits."""
        frequencies = np.fft.rfftfreq(size, 1 / self.sample_rate)
        octaves = np.log2(np.maximum(frequencies, frequencies[1] / 2))
        gain = np.ones_like(octaves)
        if lower is not None:
            gain *= _step(octaves - np.log2(lower))
        if upper is not None:
            gain *= _step(np.log2(upper) - octaves)
        return gain.astype(np.float32)


def _convolve(source: Audio, response: Audio) -> Audio:
    """A source `(channels, samples)` in a room `(any channels, taps)`, without what sounds after its end."""
    if len(response) != len(source):
        response = response[:1]
    size = _fast_size(source.shape[1] + response.shape[1])
    return _multiply_spectrum(source, np.fft.rfft(response, size), size)


@lru_cache(maxsize=64)
def _response(path: Path, sample_rate: int) -> Audio:
    """The response `(channels, taps)` of a file, from the direct sound on, with unit energy per channel."""
    response, rate = read_audio(path)
    if rate != sample_rate:
        response = resample_audio(response, rate, sample_rate)
    response = response[:, np.abs(response).max(axis=0).argmax() :]
    if not (energy := float(np.square(response).sum(axis=1).mean())):
        raise AudioError(f"{path} is silent, so it is not the response of a room")
    return response / np.float32(np.sqrt(energy))


def _step(octaves: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth way from 0 to 1, half an octave wide."""
    way: NDArray[np.float64] = np.sin(np.pi / 2 * np.clip(0.5 + octaves / SLOPE, 0, 1)) ** 2
    return way


def _fast_size(samples: int) -> int:
    """A length from `samples` on for which transforms are fast: a small number times a power of two."""
    unit = 1 << max(0, samples.bit_length() - 4)
    return -(-samples // unit) * unit


def _multiply_spectrum(signals: Audio, response: NDArray[np.inexact], size: int) -> Audio:
    """Filter signals by the product of their spectra with a frequency response.

    Args:
        signals: `(..., samples)`.
        response: `(..., size // 2 + 1)`, at the frequencies from 0 to half the sample rate.
        size: Length of the transform: so many samples more than the signals have as the filter's answer
            lasts, or it comes in again at the other end.

    Returns:
        Of the shape of the signals.
    """
    filtered = np.fft.irfft(np.fft.rfft(signals, size) * response, size)
    return filtered[..., : signals.shape[-1]].astype(np.float32)
