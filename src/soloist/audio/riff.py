"""RIFF/WAVE files: reading of chunks, and block-wise writing up to any size."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Protocol

RIFF_LIMIT = 2**32 - 1
"""Largest size in RIFF's 32-bit field, bytes; larger files are RF64."""

HEADER_SIZE = 12
"""Bytes at the beginning of a RIFF or AIFF file that identify it."""

SampleType = Literal["u8", "s16", "s24", "s32", "f32", "f64"]
"""Little-endian PCM: unsigned, signed or floating-point, and bits per sample."""


class Readable(Protocol):
    """Source of bytes."""

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes."""


_PCM, _IEEE_FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# KSDATAFORMAT_SUBTYPE_*: the format tag, followed by these 14 bytes.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
# Speakers of WAVEFORMATEXTENSIBLE for 3 to 8 channels: 3.0, quad, 5.0, 5.1, 6.1, 7.1.
_SPEAKERS = {3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
_BIG_ENDIAN = ((b"RIFX", b"WAVE"), (b"FORM", b"AIFF"), (b"FORM", b"AIFC"))
_CHUNK_LIMIT = 1 << 16
_DS64 = struct.Struct("<4sIQQQI")


def describe_pcm(sample_rate: int, channels: int, sample_type: SampleType) -> bytes:
    """Make the content of a `fmt ` chunk for little-endian PCM; float has `cbSize`."""
    bits = int(sample_type[1:])
    tag = _IEEE_FLOAT if sample_type.startswith("f") else _PCM
    align = channels * bits // 8
    extensible = channels > 2
    head = struct.pack(
        "<HHIIHH",
        _EXTENSIBLE if extensible else tag,
        channels,
        sample_rate,
        min(sample_rate * align, RIFF_LIMIT),
        align,
        bits,
    )
    if not extensible:
        return _extended(head)
    return head + struct.pack("<HHIH", 22, bits, _SPEAKERS.get(channels, 0), tag) + _GUID_TAIL


def _extended(description: bytes) -> bytes:
    """Append the field `cbSize`, which all formats but PCM have, to a `fmt ` chunk without it."""
    tag = int.from_bytes(description[:2], "little")
    return description if tag == _PCM or len(description) != 16 else description + bytes(2)


def _needs_count(description: bytes) -> bool:
    """Tell whether a `fact` chunk must state the number of samples: a float or companded format.

    Formats that pack several samples (ADPCM, GSM) keep the count out: the size does not say it.
    """
    tag, channels, _, _, align, bits = struct.unpack_from("<HHIIHH", description.ljust(16, b"\0"))
    if tag == _EXTENSIBLE:
        tag = int.from_bytes(description[24:26], "little")
    return tag != _PCM and bits >= 8 and align == channels * bits // 8


class WaveWriter:
    """Block-wise writer of a WAV file, which becomes RF64 beyond the size limit of RIFF (EBU Tech 3306).

    A `JUNK` chunk reserves space for the 64-bit sizes, as the specification proposes for recordings of
    unknown length. Float formats have the field `cbSize` and the `fact` chunk that strict readers demand
    (Microsoft, "New multimedia data types and data techniques", 1994).

    Args:
        path: The file, which is created or replaced.
        description: Content of the `fmt ` chunk; see `describe_pcm`.
        riff_limit: Size in bytes beyond which the file becomes RF64.
    """

    def __init__(self, path: Path, description: bytes, *, riff_limit: int = RIFF_LIMIT) -> None:
        self._limit = riff_limit
        self._align = max(1, struct.unpack_from("<H", description, 12)[0])
        description = _extended(description)
        self._bytes = 0
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by `close`
        self._file.write(b"RIFF" + bytes(4) + b"WAVE" + b"JUNK" + struct.pack("<I28x", 28))
        self._file.write(b"fmt " + struct.pack("<I", len(description)) + description)
        self._file.write(bytes(len(description) % 2))
        self._count_at: int | None = None
        if _needs_count(description):
            self._file.write(b"fact" + struct.pack("<II", 4, 0))
            self._count_at = self._file.tell() - 4
        self._file.write(b"data" + bytes(4))
        self._data_start = self._file.tell()

    def __enter__(self) -> WaveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close() if kind else self.close()

    def write(self, data: bytes | memoryview) -> None:
        """Append interleaved samples, encoded according to the description."""
        self._file.write(data)
        self._bytes += len(data)

    def close(self) -> None:
        """Complete the header and close the file."""
        if self._file.closed:
            return
        with self._file as file:
            if self._bytes % 2:
                file.write(b"\0")
            size = file.tell() - 8
            frames = self._bytes // self._align
            if self._count_at is not None:
                self._put(self._count_at, struct.pack("<I", min(frames, RIFF_LIMIT)))
            if size <= self._limit:
                self._put(4, struct.pack("<I", size))
                self._put(self._data_start - 4, struct.pack("<I", self._bytes))
            else:
                unknown = b"\xff" * 4
                self._put(0, b"RF64" + unknown)
                self._put(12, _DS64.pack(b"ds64", 28, size, self._bytes, frames, 0))
                self._put(self._data_start - 4, unknown)

    def abandon(self) -> None:
        """Close the file without completing its header."""
        self._file.close()

    def _put(self, position: int, data: bytes) -> None:
        self._file.seek(position)
        self._file.write(data)


@dataclass(frozen=True)
class Chunks:
    """Description and position of the samples in a WAV or AIFF file.

    Attributes:
        description: Content of the `fmt ` (or `COMM`) chunk.
        data_start: Offset of the samples in the file, bytes.
        data_size: Bytes of samples by the header; None if the header leaves it open.
    """

    description: bytes
    data_start: int
    data_size: int | None


def is_little_endian_wave(head: bytes) -> bool:
    """Tell whether a file that begins with these `HEADER_SIZE` bytes is WAV or RF64."""
    return head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE"


def read_chunks(stream: Readable, head: bytes) -> Chunks | None:
    """Read the chunks of a WAV, RF64 or AIFF stream up to its samples, without seeking.

    Args:
        stream: The stream, positioned after its first `HEADER_SIZE` bytes.
        head: The first `HEADER_SIZE` bytes.

    Returns:
        None if the stream is of another format, or ends before its samples.
    """
    is_wave = is_little_endian_wave(head)
    if not is_wave and (head[:4], head[8:12]) not in _BIG_ENDIAN:
        return None
    position, description, wide_size = HEADER_SIZE, b"", None
    while len(start := stream.read(8)) == 8:
        name, size = struct.unpack("<4sI" if is_wave else ">4sI", start)
        position += 8
        if name in (b"data", b"SSND"):
            exact = wide_size if size == RIFF_LIMIT else size
            return Chunks(description, position, None if exact is None or _is_unknown(exact) else exact)
        content = _read_some(stream, size + size % 2)
        position += size + size % 2
        if name in (b"fmt ", b"COMM"):
            description = content[:size]
        elif name == b"ds64":
            wide_size = struct.unpack_from("<8xQ", content.ljust(16, b"\0"))[0]
    return None


def _read_some(stream: Readable, size: int) -> bytes:
    """Skip `size` bytes and return the first `_CHUNK_LIMIT` of them."""
    content = stream.read(min(size, _CHUNK_LIMIT))
    rest = size - len(content)
    while rest > 0 and (block := stream.read(min(rest, _CHUNK_LIMIT))):
        rest -= len(block)
    return content


def _is_unknown(size: int) -> bool:
    """Tell whether a size is a placeholder of programs that stream audio of unknown length.

    Placeholders are zero and all ones (FFmpeg and many others), or just below 2 GiB (SoX, arecord).
    """
    return size == 0 or 0x7FFFF000 <= size <= 0x80000000 or RIFF_LIMIT - 256 <= size <= RIFF_LIMIT
