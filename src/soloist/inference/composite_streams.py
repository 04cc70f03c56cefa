"""Streams between the parts of a composite separator: all parts at once, or one after the other."""

from __future__ import annotations

import math
import secrets
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from soloist.audio import Audio, share_blocks
from soloist.files import scratch_folder
from soloist.separators import CompositeSeparator, Level
from soloist.separators.composite_separator import Blocks

_BLOCK = 1 << 16
"""Samples in a block that is read from a file."""

SeparatePart = Callable[[int, Blocks, Level | None], Iterator[Audio]]
"""Place of a part, a stream and its level to the part's estimates `(sources, channels, samples)`."""


def combine_streams(
    separator: CompositeSeparator,
    blocks: Blocks,
    separate: SeparatePart,
    level: Level | None,
    measure: Callable[[Blocks], Level],
) -> Iterator[Audio]:
    """Separate a stream by the parts of a composite separator; memory does not depend on its length.

    Args:
        separator: The separator.
        blocks: Consecutive blocks of the mixture `(channels, samples)`, at its rate.
        separate: Separates a stream by a part.
        level: Level of the mixture, for parts that are normalised by it.
        measure: Measures the level of a stream.

    Yields:
        Consecutive blocks of the estimates `(sources, channels, samples)`.
    """
    if not separator.one_by_one:
        yield from separator.combine(blocks, _Together(separator, separate, level))
        return
    with scratch_folder() as folder:
        yield from separator.combine(blocks, _OneByOne(separator, separate, level, measure, folder))


class _Together:
    """Runs all parts at once: they advance together, and only what one is ahead of another is held."""

    def __init__(self, separator: CompositeSeparator, separate: SeparatePart, level: Level | None) -> None:
        self._separator, self._separate, self._level = separator, separate, level

    def share(self, blocks: Blocks, count: int) -> Sequence[Blocks]:
        return share_blocks(blocks, count)

    def separate(self, place: int, blocks: Blocks) -> Blocks:
        level = self._level if self._separator.takes_mixture(place) else None
        return self._separate(place, blocks, level)


class _OneByOne(_Together):
    """Runs one part after the other; the streams between them are files."""

    def __init__(
        self,
        separator: CompositeSeparator,
        separate: SeparatePart,
        level: Level | None,
        measure: Callable[[Blocks], Level],
        folder: Path,
    ) -> None:
        super().__init__(separator, separate, level)
        self._measure, self._folder = measure, folder

    def share(self, blocks: Blocks, count: int) -> Sequence[Blocks]:
        return [blocks if isinstance(blocks, _StreamFile) else _StreamFile(blocks, self._folder)] * count

    def separate(self, place: int, blocks: Blocks) -> Blocks:
        level = self._level
        if not self._separator.takes_mixture(place):
            (blocks,) = self.share(blocks, 1)
            level = self._measure(blocks) if self._separator.parts[place].measures_track else None
        return self.share(self._separate(place, blocks, level), 1)[0]


class _StreamFile:
    """A stream `(..., samples)` of float32 in a file, which vanishes with this object.

    Args:
        blocks: The stream, which is read to its end.
        folder: Folder of the file.
    """

    def __init__(self, blocks: Blocks, folder: Path) -> None:
        self._path = folder / secrets.token_hex(8)
        self._shape: tuple[int, ...] = ()
        weakref.finalize(self, self._path.unlink, missing_ok=True)
        with self._path.open("wb") as file:
            for block in blocks:
                self._shape = block.shape[:-1]
                file.write(np.ascontiguousarray(np.moveaxis(block, -1, 0), np.float32).data)

    def __iter__(self) -> Iterator[Audio]:
        values = _BLOCK * math.prod(self._shape)
        with self._path.open("rb") as file:
            while (read := np.fromfile(file, np.float32, values)).size:
                frames = read.reshape(-1, *self._shape)
                yield np.ascontiguousarray(np.moveaxis(frames, 0, -1))
