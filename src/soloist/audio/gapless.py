"""Saying in a file how many samples it holds where its encoder or container do not, or do it wrong."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from mutagen.mp3 import MPEGInfo
from mutagen.mp4 import MP4, MP4FreeForm

ITUNES_LENGTH = "----:com.apple.iTunes:iTunSMPB"
"""The atom of iTunes' gapless information in the words of mutagen."""

_AAC_DELAY = 1024
_AAC_FRAME = 1024
_LAME_DELAY = 576
# Places in a Xing header, counted from its name: number of frames, delays, checksum.
_FRAMES, _DELAYS, _CHECKSUM = 8, 141, 154


def write_mp4_length(path: Path, samples: int) -> None:
    """Say in an MP4 file of AAC how many samples it holds, in the way of iTunes.

    The edit list says the same, but FFmpeg's libraries heed only where it begins.
    """
    padding = -(samples + _AAC_DELAY) % _AAC_FRAME
    text = f" 00000000 {_AAC_DELAY:08X} {padding:08X} {samples:016X}" + " 00000000" * 8
    file: Any = MP4(path)
    if file.tags is None:
        file.add_tags()
    file.tags[ITUNES_LENGTH] = [MP4FreeForm(text.encode())]
    file.save()


def write_mp3_length(path: Path, samples: int, rate: int) -> None:
    """Set the padding in the LAME header of an MP3 file so that it holds `samples` samples.

    FFmpeg counts only the padding of the last frame, and forgets that of the one before where LAME adds a
    frame to flush its decoder: one length in 25 comes out up to 46 samples too long.
    """
    with open(path, "r+b") as file:
        start = MPEGInfo(file).frame_offset
        file.seek(start)
        frame = bytearray(file.read(256))
        tag = frame.index(b"Info")
        (frames,) = struct.unpack_from(">I", frame, tag + _FRAMES)
        frame_length = 1152 if rate >= 32000 else 576
        padding = frames * frame_length - _LAME_DELAY - samples
        frame[tag + _DELAYS : tag + _DELAYS + 3] = (_LAME_DELAY << 12 | padding).to_bytes(3, "big")
        struct.pack_into(">H", frame, tag + _CHECKSUM, _crc16(bytes(frame[: tag + _CHECKSUM])))
        file.seek(start)
        file.write(frame)


def _crc16(data: bytes) -> int:
    """The checksum CRC-16/ARC."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value
