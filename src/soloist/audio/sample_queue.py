"""Samples that wait, in order."""

from __future__ import annotations

from collections import deque

import numpy as np

from soloist.audio.blocks import Audio


class SampleQueue:
    """Queue of samples `(..., samples)`: put in blocks of any length, taken in pieces of any length.

    One thread may put while another one takes.
    """

    def __init__(self) -> None:
        self._blocks: deque[Audio] = deque()
        # Each is written by one thread.
        self._put = self._taken = 0

    @property
    def available(self) -> int:
        """Number of samples in the queue."""
        return self._put - self._taken

    def put(self, block: Audio) -> None:
        """Append a block `(..., samples)`, which the queue keeps."""
        if block.shape[-1]:
            self._blocks.append(block)
            self._put += block.shape[-1]

    def take(self, samples: int) -> Audio:
        """Remove and return the oldest samples `(..., samples)`, of which there are so many."""
        pieces: list[Audio] = []
        missing = samples
        while missing:
            block = self._blocks.popleft()
            if block.shape[-1] > missing:
                self._blocks.appendleft(block[..., missing:])
                block = block[..., :missing]
            pieces.append(block)
            missing -= block.shape[-1]
        self._taken += samples
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces, axis=-1) if pieces else np.zeros((0, 0), np.float32)
