"""Layout of FLAC files (RFC 9639): length by the last frame, and files that are joined."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from soloist.audio.layout import Layout, Part

_MAGIC = b"fLaC\0\0\0\x22"
_STREAMINFO = len(_MAGIC) + 34
_TAIL = 1 << 18
_LONGEST_HEADER = 16
_SLACK = 1 << 12
_BLOCKS = {1: 192, **{code: 576 << (code - 2) for code in range(2, 6)}}
_BLOCKS |= {code: 256 << (code - 8) for code in range(8, 16)}


def flac_layout(path: Path) -> Layout | None:
    """Compare the number of samples in the header with the last frame of a FLAC file.

    Returns:
        None if the file is of another format, or its header is right.
    """
    with open(path, "rb") as file:
        begin = skip_id3(file.read(10))
        file.seek(begin)
        head = file.read(_STREAMINFO)
        if len(head) < _STREAMINFO or head[:4] != _MAGIC[:4]:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            size = len(view)
            total, last = _total(head), last_sample(view, begin, size)
            agrees = bool(total) and last is not None and last <= total
            if agrees and size - begin <= _most_bytes(view, begin, head, total):
                return None
            starts = [begin]
            while (following := view.find(_MAGIC, starts[-1] + _STREAMINFO)) >= 0:
                starts.append(following)
            parts = tuple(
                _part(view, start, end) for start, end in zip(starts, [*starts[1:], size], strict=True)
            )
    if len(parts) == 1 and total and not parts[0].by_ffmpeg:
        return None
    return Layout(parts)


def _part(view: mmap.mmap, start: int, end: int) -> Part:
    total, last = _total(view[start : start + _STREAMINFO]), last_sample(view, start, end)
    if total and (last is None or last <= total):
        return Part(start, end)
    # An earlier frame than the last one may look like the last one to a damaged file: FFmpeg decides.
    return Part(start, end, samples=last, by_ffmpeg=True)


def _total(head: bytes) -> int:
    """Samples by the STREAMINFO block; 0 if unknown."""
    return int.from_bytes(head[21:26], "big") & 0xFFFFFFFFF


def _most_bytes(view: mmap.mmap, begin: int, head: bytes, total: int) -> int:
    """Most bytes of a file of so many samples; a huge number if the header does not tell."""
    (shortest,) = struct.unpack_from(">H", head, 8)
    largest = int.from_bytes(head[15:18], "big")
    if not largest or not shortest:
        return 1 << 62
    return _first_frame(view, begin) - begin + (total // shortest + 1) * largest + _SLACK


def _first_frame(view: mmap.mmap, begin: int) -> int:
    """Position after the blocks of metadata, among which are pictures."""
    position, last = begin + 4, False
    while not last and position + 4 <= len(view):
        last = bool(view[position] & 0x80)
        position += 4 + int.from_bytes(view[position + 1 : position + 4], "big")
    return position


def last_sample(view: mmap.mmap, start: int, end: int) -> int | None:
    """End of the last frame of a range in samples; None if no frame is found."""
    head = view[start : start + _STREAMINFO]
    (fixed,) = struct.unpack_from(">H", head, 10)
    tail_start = max(start + _STREAMINFO, end - _TAIL)
    tail = view[tail_start:end]
    position = len(tail)
    while (position := tail.rfind(b"\xff", 0, position)) >= 0:
        found = frame_span(tail[position : position + _LONGEST_HEADER], fixed)
        if found is not None:
            return found[1]
    return None


def frame_span(header: bytes, fixed: int) -> tuple[int, int] | None:
    """Number of the first sample of a frame, and of the first after it.

    Args:
        header: First bytes of the frame, up to 16.
        fixed: Samples of each frame but the last, in files that count frames.

    Returns:
        None if the bytes are no header of a frame.
    """
    if len(header) < 6 or header[1] & 0xFE != 0xF8:
        return None
    block, rate, first = header[2] >> 4, header[2] & 15, header[4]
    length = 8 - (first ^ 0xFF).bit_length()
    if not block or rate == 15 or header[3] & 1 or length in (1, 8):
        return None
    number = first & (0x7F >> length)
    position = 4 + max(1, length)
    for byte in header[5:position]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    width = {6: 1, 7: 2}.get(block, 0)
    samples = int.from_bytes(header[position : position + width], "big") + 1 if width else _BLOCKS[block]
    position += width + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if position >= len(header) or _crc8(header[:position]) != header[position]:
        return None
    first_sample = number if header[1] & 1 else number * fixed
    return first_sample, first_sample + samples


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


def skip_id3(head: bytes) -> int:
    """Bytes of the ID3 tag that a file begins with; 0 without one."""
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size
