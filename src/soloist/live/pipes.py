"""Inputs and outputs of live separation that are no sound cards: pipes of raw samples, and files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from soloist.audio import Audio, AudioReader, RawFormat, cut_blocks
from soloist.audio.encode import Quantizer
from soloist.errors import AudioError

BLOCK = 0.02
"""Longest block of a live stream, s."""

_INSTANT = 0.001
"""Seconds within which waiting data is read."""


class LiveInput(Protocol):
    """Source of blocks.

    Attributes:
        sample_rate: Hz.
        channels: Number of channels.
        waited: True if the last block was not there yet when it was asked for.
        dropped: Blocks that were lost, as nobody took them in time.
    """

    sample_rate: int
    channels: int
    waited: bool
    dropped: int

    def read(self) -> Audio | None:
        """The next block `(channels, samples)`; None at the end."""
        ...

    def close(self) -> None:
        """Release the source."""


class LiveOutput(Protocol):
    """Sink of blocks.

    Attributes:
        paces: True if it takes blocks in real time.
        dropped: Blocks that came too late to be heard.
    """

    paces: bool
    dropped: int

    def write(self, block: Audio) -> None:
        """Take the next block `(channels, samples)`."""

    def close(self) -> None:
        """Let the sink finish, and release it."""


class PipeInput:
    """Raw samples from a file descriptor; see `LiveInput`.

    Args:
        descriptor: File descriptor, such as 0 for standard input.
        raw: Format of the samples.
    """

    dropped = 0

    def __init__(self, descriptor: int, raw: RawFormat) -> None:
        self.sample_rate, self.channels, self.waited = raw.sample_rate, raw.channels, True
        self._descriptor, self._raw = descriptor, raw
        self._most = max(1, round(BLOCK * raw.sample_rate)) * raw.frame_size
        self._begun = b""

    def read(self) -> Audio | None:
        """The samples that are there, at most a block; None at the end.

        Raises:
            AudioError: The stream ends in the middle of a sample.
        """
        self.waited = False
        while True:
            asked = time.monotonic()
            data = os.read(self._descriptor, self._most - len(self._begun))
            self.waited |= time.monotonic() - asked > _INSTANT
            if not data:
                self._check_end()
                return None
            data = self._begun + data
            whole = len(data) // self._raw.frame_size * self._raw.frame_size
            self._begun = data[whole:]
            if whole:
                return decode_pcm(data[:whole], self._raw)

    def _check_end(self) -> None:
        if self._begun:
            raise AudioError(
                f"the input ends within a sample of {self._raw.channels} x {self._raw.sample_type}: "
                "check --format and --channels"
            )

    def close(self) -> None:
        """Leave the descriptor open, which is somebody else's."""


class FileInput:
    """Sound file, as fast as it is read; see `LiveInput`.

    Args:
        path: The file.

    Raises:
        AudioError: The file cannot be read.
    """

    dropped = 0
    waited = False

    def __init__(self, path: Path) -> None:
        self._reader = AudioReader(path)
        self.sample_rate, self.channels = self._reader.sample_rate, self._reader.channels
        self._blocks: Iterator[Audio] = cut_blocks(
            self._reader.blocks(), max(1, round(BLOCK * self.sample_rate))
        )

    def read(self) -> Audio | None:
        """The next block; None at the end."""
        return next(self._blocks, None)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


class PipeOutput:
    """Raw samples to a file descriptor; see `LiveOutput`.

    Args:
        descriptor: File descriptor, such as 1 for standard output.
        raw: Format of the samples.
    """

    paces = False
    dropped = 0

    def __init__(self, descriptor: int, raw: RawFormat) -> None:
        self._descriptor, self._raw = descriptor, raw
        bits = int(raw.sample_type[1:])
        self._quantizer = None if raw.sample_type.startswith("f") else Quantizer(bits, 0, "live")

    def write(self, block: Audio) -> None:
        """Write a block whole.

        Raises:
            BrokenPipeError: Nobody reads it any more.
        """
        data = memoryview(encode_pcm(block, self._raw, self._quantizer))
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Leave the descriptor open, which is somebody else's."""


class NoOutput:
    """Output that nobody hears; see `LiveOutput`."""

    paces = False
    dropped = 0

    def write(self, block: Audio) -> None:
        """Forget a block."""

    def close(self) -> None:
        """Release nothing."""


def decode_pcm(data: bytes, raw: RawFormat) -> Audio:
    """Samples `(channels, samples)` in [-1, 1) of interleaved little-endian ones."""
    kind, bits = raw.sample_type[0], int(raw.sample_type[1:])
    if kind == "f":
        values = np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
        if not np.isfinite(values).all():
            raise AudioError("the input has samples that are not finite: check --format")
        return np.ascontiguousarray(values.reshape(-1, raw.channels).T)
    if kind == "u":
        integers = np.frombuffer(data, np.uint8).astype(np.int32) - 128
    elif bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        integers, bits = wide.view("<i4")[:, 0], 32
    else:
        integers = np.frombuffer(data, f"<i{bits // 8}")
    scaled = (integers * 2.0 ** (1 - bits)).astype(np.float32)
    return np.ascontiguousarray(scaled.reshape(-1, raw.channels).T)


def encode_pcm(block: Audio, raw: RawFormat, quantizer: Quantizer | None) -> bytes:
    """Interleaved little-endian samples of `(channels, samples)`; integers by a quantizer of their bits."""
    bits = int(raw.sample_type[1:])
    if quantizer is None:
        return block.T.astype(f"<f{bits // 8}").tobytes()
    integers = quantizer.quantize(block).T
    if raw.sample_type == "u8":
        return (integers + 128).astype(np.uint8).tobytes()
    if bits == 24:
        narrow = np.ascontiguousarray(integers.astype("<i4")).view(np.uint8).reshape(-1, 4)[:, :3]
        return narrow.tobytes()
    return integers.astype(f"<i{bits // 8}").tobytes()
