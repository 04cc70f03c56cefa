"""What a decoder is, and the checks that all share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from soloist.audio.info import AudioInfo
from soloist.errors import AudioError


class Decoder(Protocol):
    """Turns one audio stream of a file into samples."""

    info: AudioInfo

    def decode(self, first: int) -> Iterator[NDArray[np.float32]]:
        """Decode from sample `first` on, in arrays `(channels, any number of samples)` in [-1, 1].

        The samples are those of a decoding from the beginning, to the bit.

        Raises:
            AudioError: The file is corrupt, or ends before it should.
        """

    def close(self) -> None:
        """Close the file."""


def drop_first(parts: Iterator[NDArray[np.float32]], count: int) -> Iterator[NDArray[np.float32]]:
    """Leave out the first `count` samples of arrays `(channels, samples)`."""
    for part in parts:
        if count >= part.shape[1]:
            count -= part.shape[1]
            continue
        yield part[:, count:]
        count = 0


def truncation(path: Path, seconds: float, expected: float) -> AudioError:
    """The error for a file that ends before it says."""
    return AudioError(f"{path} is truncated: it ends at {seconds:.3f} s of {expected:.3f} s; copy it again")


def damage(path: Path, seconds: float, reason: object) -> AudioError:
    """The error for a file that cannot be decoded beyond some second."""
    return AudioError(f"{path} is truncated or corrupt: decoding stops at {seconds:.3f} s ({reason})")
