"""Layout of WAV and AIFF files: samples that exist against sizes in the header."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from soloist.audio.layout import Layout, Part
from soloist.audio.riff import HEADER_SIZE, RIFF_LIMIT, Chunks, is_little_endian_wave, read_chunks

_FEW_BYTES = 64
"""Most bytes that a wrong header may promise without being taken for lost sound."""

_LEAST_SOUND = 1024
"""Fewest bytes behind the samples that can be samples, too; fewer are a tag or padding."""

_MPEG_LAYER_III = 0x55
_TAGS = (b"TAG", b"ID3", b"APETAGEX")
_DS64 = struct.Struct("<4sIQQQI")


def wave_layout(path: Path) -> Layout | None:
    """Compare the size of the samples with the bytes of a WAV, RF64 or AIFF file.

    Returns:
        None if the file is of another format, or its header is right.
    """
    with open(path, "rb") as file:
        head = file.read(HEADER_SIZE)
        chunks = read_chunks(file, head)
        if chunks is None:
            return None
        size = os.path.getsize(path)
        frame = _frame_size(head, chunks)
        found, note = _sound_end(file, chunks, size, frame)
    present = max(0, size - chunks.data_start)
    truncation = None
    if chunks.data_size is not None and not note and chunks.data_size > present:
        truncation = f"{chunks.data_size} bytes of sound are promised, {present} exist"
    if truncation is None and note is None and chunks.data_size is not None:
        return None
    offset = 0 if is_little_endian_wave(head) else 8
    count = max(0, found - chunks.data_start - offset) // frame * frame
    prefix = (_wave_header if not offset else _aiff_header)(head, chunks.description, count)
    start = chunks.data_start + offset
    return Layout((Part(start, start + count, prefix),), (note,) if note else (), truncation)


def mpeg_range(path: Path) -> tuple[int, int] | None:
    """Range of bytes of an MP3 stream in a WAV file by its header; None if the file is anything else."""
    with open(path, "rb") as file:
        head = file.read(HEADER_SIZE)
        chunks = read_chunks(file, head)
    if chunks is None or not is_little_endian_wave(head) or len(chunks.description) < 2:
        return None
    if struct.unpack_from("<H", chunks.description)[0] != _MPEG_LAYER_III:
        return None
    size = os.path.getsize(path) - chunks.data_start if chunks.data_size is None else chunks.data_size
    return chunks.data_start, chunks.data_start + size


def _sound_end(file: BinaryIO, chunks: Chunks, size: int, frame: int) -> tuple[int, str | None]:
    """End of the samples in bytes, and a note if the header has it wrong without a loss of sound."""
    if chunks.data_size is None:
        return size, None
    end = chunks.data_start + chunks.data_size
    if end > size:
        more = end - size
        # Some programs write the size of the whole file as that of the samples.
        few = more <= _FEW_BYTES or more in (chunks.data_start, chunks.data_start - 8)
        few = few and size > chunks.data_start and frame <= _FEW_BYTES
        return size, f"its header promises {_samples(chunks, more)} more than there are" if few else None
    if _is_tail(file, end, size):
        return end, None
    # The size has 32 bits: that of a longer file is the rest of a division by 4 GiB.
    wrapped = range(end + RIFF_LIMIT + 1, size + 1, RIFF_LIMIT + 1)
    end = next((other for other in wrapped if _is_tail(file, other, size)), size)
    more = end - chunks.data_start - chunks.data_size
    return end, f"its header promises {_samples(chunks, more)} fewer than there are; all are read"


def _samples(chunks: Chunks, count: int) -> str:
    align = struct.unpack_from("<H", chunks.description.ljust(14, b"\0"), 12)[0]
    if align and count % align == 0 and len(chunks.description) in (14, 16, 18, 40):
        return f"{count // align} samples"
    return f"{count} bytes"


def _is_tail(file: BinaryIO, position: int, size: int) -> bool:
    """Tell whether chunks or tags, and no samples, follow from a position to the end of the file."""
    file.seek(position)
    if size - position < _LEAST_SOUND or file.read(8).startswith(_TAGS):
        return True
    return _are_chunks(file, position, size) or _are_chunks(file, position + 1, size)


def _are_chunks(file: BinaryIO, position: int, size: int) -> bool:
    while size - position >= 8:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if not all(0x20 <= letter < 0x7F for letter in name) or position + 8 + length > size + 1:
            return False
        position += 8 + length + length % 2
    return True


def _frame_size(head: bytes, chunks: Chunks) -> int:
    """Bytes of one sample of all channels, or of a block of a compressed format."""
    if is_little_endian_wave(head):
        return max(1, struct.unpack_from("<H", chunks.description.ljust(14, b"\0"), 12)[0])
    channels, bits = struct.unpack_from(">H4xH", chunks.description.ljust(8, b"\0"))
    return max(1, channels * -(-bits // 8))


def _wave_header(head: bytes, description: bytes, count: int) -> bytes:
    """Make the header of a WAV file of `count` bytes of samples; RF64 beyond the limit of RIFF."""
    fmt = b"fmt " + struct.pack("<I", len(description)) + description + bytes(len(description) % 2)
    align = max(1, struct.unpack_from("<H", description.ljust(14, b"\0"), 12)[0])
    size = 4 + len(fmt) + 8 + count
    if size <= RIFF_LIMIT:
        return b"RIFF" + struct.pack("<I", size) + b"WAVE" + fmt + b"data" + struct.pack("<I", count)
    wide = _DS64.pack(b"ds64", 28, size + _DS64.size, count, count // align, 0)
    unknown = b"\xff" * 4
    return b"RF64" + unknown + b"WAVE" + wide + fmt + b"data" + unknown


def _aiff_header(head: bytes, description: bytes, count: int) -> bytes:
    """Make the header of an AIFF file of `count` bytes of samples."""
    channels, bits = struct.unpack_from(">H4xH", description.ljust(8, b"\0"))
    frames = count // max(1, channels * -(-bits // 8))
    common = description[:2] + struct.pack(">I", frames) + description[6:]
    common = b"COMM" + struct.pack(">I", len(common)) + common + bytes(len(common) % 2)
    version = b"FVER" + struct.pack(">II", 4, 0xA2805140) if head[8:12] == b"AIFC" else b""
    rest = head[8:12] + version + common + b"SSND" + struct.pack(">III", count + 8, 0, 0)
    return b"FORM" + struct.pack(">I", min(RIFF_LIMIT, len(rest) + count)) + rest
