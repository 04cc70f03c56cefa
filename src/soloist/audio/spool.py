"""Copies of streams that cannot be rewound (standard input) as files."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, get_args

from soloist.audio.riff import (
    HEADER_SIZE,
    RIFF_LIMIT,
    SampleType,
    WaveWriter,
    describe_pcm,
    is_little_endian_wave,
    read_chunks,
)
from soloist.errors import AudioError, UsageError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class RawFormat:
    """Format of samples without a header.

    Args:
        sample_rate: Sample rate in Hz.
        channels: Number of interleaved channels.
        sample_type: "u8", "s16", "s24", "s32", "f32" or "f64", little-endian.

    Raises:
        UsageError: A value is out of range.
    """

    sample_rate: int
    channels: int
    sample_type: SampleType = "s16"

    def __post_init__(self) -> None:
        if self.sample_type not in get_args(SampleType):
            choices = ", ".join(get_args(SampleType))
            raise UsageError(f"the type of raw samples must be one of {choices}, not {self.sample_type!r}")
        if not (1 <= self.sample_rate <= RIFF_LIMIT and 1 <= self.channels <= 0xFFFF):
            raise UsageError(f"raw audio cannot have {self.channels} channels at {self.sample_rate} Hz")

    @property
    def frame_size(self) -> int:
        """Bytes per sample of all channels."""
        return self.channels * int(self.sample_type[1:]) // 8


def spool_stream(stream: BinaryIO, folder: Path, *, raw: RawFormat | None = None) -> Path:
    """Copy a stream block by block into a file in `folder`.

    Samples without a header become a WAV file (RF64 if necessary). So do WAV streams whose header leaves the
    length open. Other files are copied unchanged.

    Args:
        stream: Source of the bytes; it is read to its end but not closed.
        folder: Folder of the file; the caller removes the file.
        raw: Format of the samples, if the stream has no header.

    Returns:
        The path of the file.

    Raises:
        AudioError: The stream is empty, ends before or in the middle of a sample, or cannot be written.
    """
    path = Path(folder) / f"stream-{secrets.token_hex(8)}"
    try:
        if raw is not None:
            _spool_raw(stream, path, raw)
        else:
            _spool_with_header(stream, path)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise AudioError(f"cannot keep the stream in {folder}: {error.strerror or error}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _spool_raw(stream: BinaryIO, path: Path, raw: RawFormat) -> None:
    description = describe_pcm(raw.sample_rate, raw.channels, raw.sample_type)
    with WaveWriter(path, description) as file:
        count = _copy(stream, file)
    if not count:
        raise AudioError("the stream is empty")
    if count % raw.frame_size:
        raise AudioError(
            f"the stream ends in the middle of a sample: {count} bytes are no multiple of {raw.frame_size}; "
            "check the type and the number of channels"
        )


def _spool_with_header(stream: BinaryIO, path: Path) -> None:
    recorded = _Recorded(stream)
    head = recorded.read(HEADER_SIZE)
    if not head:
        raise AudioError("the stream is empty")
    chunks = read_chunks(recorded, head) if is_little_endian_wave(head) else None
    if chunks is None and is_little_endian_wave(head):
        raise AudioError("the stream is truncated: it ends before its samples begin")
    if chunks is not None and chunks.data_size is None:
        with WaveWriter(path, chunks.description) as wave:
            _copy(stream, wave)
        return
    # The reader of the file compares the length in the header with the bytes.
    with open(path, "wb") as file:
        file.write(recorded.read_before)
        _copy(stream, file)


class _Recorded:
    """Stream that keeps what is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.read_before = bytearray()

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes."""
        block = self._stream.read(size)
        self.read_before += block
        return block


def _copy(stream: BinaryIO, file: WaveWriter | BinaryIO) -> int:
    """Copy all bytes and return their number."""
    count = 0
    while block := stream.read(_BLOCK):
        file.write(block)
        count += len(block)
    return count
