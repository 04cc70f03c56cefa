"""Layout of files whose headers state the size of the sound: AU, AVR, NIST SPHERE, MPC2000, SDS."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

from soloist.audio.layout import Layout, Part

_HEADER = 1024
_UNKNOWN = 0xFFFFFFFF
_AVR_HEADER, _MPC_HEADER = 128, 42
_SAMPLE_DUMP = b"\xf0\x7e"
_SDS_HEADER, _SDS_BLOCK, _SDS_BYTES = 21, 127, 120


def sized_layout(path: Path) -> Layout | None:
    """Compare the size of the sound by the header with the bytes of a file.

    Returns:
        None if the file is of another format, or no sound is missing.
    """
    with open(path, "rb") as file:
        head = file.read(_HEADER)
    size = os.path.getsize(path)
    find_end = next((find for mark, find in _FORMATS if head.startswith(mark)), None)
    if find_end is None:
        return None
    end = find_end(head.ljust(_HEADER, b"\0")) or 0
    truncation = f"{end} bytes are promised, {size} exist" if end > size else None
    if head.startswith(_SAMPLE_DUMP):
        # libsndfile writes to standard output about damaged ones.
        samples = None if truncation else _sds_samples(head)
        return Layout((Part(0, size, samples=samples, by_ffmpeg=True),), truncation=truncation)
    return Layout((Part(0, size),), truncation=truncation) if truncation else None


def _au_end(order: str) -> Callable[[bytes], int | None]:
    def find(head: bytes) -> int | None:
        start, size = struct.unpack_from(f"{order}II", head, 4)
        return None if size == _UNKNOWN else start + size

    return find


def _avr_end(head: bytes) -> int:
    stereo, bits = struct.unpack_from(">HH", head, 12)
    (frames,) = struct.unpack_from(">I", head, 26)
    return _AVR_HEADER + frames * (2 if stereo else 1) * (bits // 8)


def _nist_end(head: bytes) -> int | None:
    """End by the object header of a NIST SPHERE file; None if it does not tell, or the sound is packed."""
    found = dict(re.findall(rb"^(\w+) -\w+ (\S+)", head, re.MULTILINE))
    try:
        (start,) = re.findall(rb"^NIST_1A\n +(\d+)\n", head)
        names = (b"sample_count", b"channel_count", b"sample_n_bytes")
        count, channels, width = (int(found[name]) for name in names)
    except (KeyError, ValueError):
        return None
    packed = b"," in found.get(b"sample_coding", b"")
    return None if packed else int(start) + count * channels * width


def _mpc_end(head: bytes) -> int:
    (frames,) = struct.unpack_from("<I", head, 30)
    return _MPC_HEADER + frames * 2 * (2 if head[21] else 1)


def _sds_end(head: bytes) -> int:
    """End by the header of a MIDI sample dump, whose blocks hold samples in groups of 7 bits."""
    per_block = _SDS_BYTES // max(1, -(-head[6] // 7))
    return _SDS_HEADER + _SDS_BLOCK * -(-_sds_samples(head) // max(1, per_block))


def _sds_samples(head: bytes) -> int:
    return sum(byte << shift for byte, shift in zip(head[10:13], (0, 7, 14), strict=False))


_FORMATS: tuple[tuple[bytes, Callable[[bytes], int | None]], ...] = (
    (b".snd", _au_end(">")),
    (b"dns.", _au_end("<")),
    (b"2BIT", _avr_end),
    (b"NIST_1A", _nist_end),
    (b"\x01\x04", _mpc_end),
    (_SAMPLE_DUMP, _sds_end),
)
