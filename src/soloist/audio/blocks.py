"""Array type of audio, and conversions of block lengths and channels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

Audio = NDArray[np.float32]
"""Samples `(..., channels, samples)`, nominally in [-1, 1]."""

LOUDEST = 2.0**100
"""Largest sample that is taken for sound; beyond it, spectra overflow."""

_LONGEST_BLOCK = 65536
_BLOCK_VALUES = 1 << 20


def block_length(channels: int) -> int:
    """Samples of a block of so many channels, of at most 4 MiB: many channels cost time, not memory."""
    return max(1, min(_LONGEST_BLOCK, _BLOCK_VALUES // channels))


def cut_blocks(parts: Iterable[Audio], length: int) -> Iterator[Audio]:
    """Cut or join arrays `(channels, samples)` of any lengths into blocks of `length` samples.

    Only the last block may be shorter.
    """
    pending: list[Audio] = []
    count = 0
    for part in parts:
        position = 0
        while position < part.shape[1]:
            piece = part[:, position : position + length - count]
            pending.append(piece)
            position += piece.shape[1]
            count += piece.shape[1]
            if count == length:
                yield np.concatenate(pending, axis=1)
                pending, count = [], 0
    if pending:
        yield np.concatenate(pending, axis=1)


def share_blocks(blocks: Iterable[T], count: int) -> list[Iterator[T]]:
    """The same stream so many times; what all copies have passed is let go at once.

    `itertools.tee` keeps up to 57 blocks that are passed.
    """
    iterator = iter(blocks)
    waiting = [deque[T]() for _ in range(count)]

    def copy(queue: deque[T]) -> Iterator[T]:
        while True:
            if not queue:
                try:
                    block = next(iterator)
                except StopIteration:
                    return
                for each in waiting:
                    each.append(block)
            yield queue.popleft()

    return [copy(queue) for queue in waiting]


def to_channels(audio: Audio, channels: int) -> Audio:
    """Convert audio `(any, samples)` to a number of channels: unchanged, or their mean copied to each."""
    if audio.shape[0] == channels:
        return audio
    return np.broadcast_to(audio.mean(axis=0, keepdims=True), (channels, audio.shape[1]))
