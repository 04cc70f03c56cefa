"""Rooms."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from soloist.audio import AUDIO_SUFFIXES, Audio, read_audio, resample_audio
from soloist.errors import AudioError, UsageError
from soloist.mixing.augment.augmentation import Augmentation
from soloist.mixing.augment.convolution import fast_size, multiply_spectrum


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


def _convolve(source: Audio, response: Audio) -> Audio:
    """A source `(channels, samples)` in a room `(any channels, taps)`, without what sounds after its end."""
    if len(response) != len(source):
        response = response[:1]
    size = fast_size(source.shape[1] + response.shape[1])
    return multiply_spectrum(source, np.fft.rfft(response, size), size)


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
