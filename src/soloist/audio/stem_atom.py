"""Description of stems in an MP4 file (Native Instruments' `.stem.mp4`): the atom `moov/udta/stem`."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

_COLORS = ("#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#E69F00", "#0072B2", "#F0E442", "#999999")


def describe_stems(names: Sequence[str]) -> bytes:
    """Make the JSON text of the atom for stems of these names, without mastering of their sum.

    The format's players expect exactly four stems; the description can hold any number.
    """
    stems = [
        {"name": name.capitalize(), "color": _COLORS[index % len(_COLORS)]}
        for index, name in enumerate(names)
    ]
    compressor = {
        "enabled": False, "input_gain": 0.0, "output_gain": 0.0, "threshold": 0.0, "dry_wet": 100,
        "attack": 0.003, "release": 0.3, "ratio": 1.0, "hp_cutoff": 20,
    }  # fmt: skip
    limiter = {"enabled": False, "threshold": 0.0, "ceiling": 0.0, "release": 0.05}
    mastering = {"compressor": compressor, "limiter": limiter}
    return json.dumps({"mastering_dsp": mastering, "version": 1, "stems": stems}).encode()


def read_stem_atom(path: Path) -> bytes | None:
    """Read the content of a file's stem atom; None without one."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        span = (0, size)
        for name in (b"moov", b"udta", b"stem"):
            found = next((inner for kind, _, inner in _atoms(file, *span) if kind == name), None)
            if found is None:
                return None
            span = found
        file.seek(span[0])
        return file.read(span[1] - span[0])


def write_stem_atom(path: Path, content: bytes) -> None:
    """Add a stem atom to an MP4 file with `moov` after the media, where no offset changes."""
    with open(path, "r+b") as file:
        size = file.seek(0, 2)
        start, inner = next((start, inner) for kind, start, inner in _atoms(file, 0, size) if kind == b"moov")
        file.seek(inner[0])
        moov, rest = file.read(inner[1] - inner[0]), file.read()
        udta = next(((begin, end) for kind, begin, (_, end) in _atoms(file, *inner) if kind == b"udta"), None)
        begin, end = (position - inner[0] for position in udta) if udta else (len(moov), len(moov))
        old = moov[begin + 8 : end]
        moov = moov[:begin] + _atom(b"udta", old + _atom(b"stem", content)) + moov[end:]
        file.seek(start)
        file.write(_atom(b"moov", moov) + rest)


def _atom(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _atoms(file: BinaryIO, position: int, end: int) -> Iterator[tuple[bytes, int, tuple[int, int]]]:
    """List the atoms between two positions: kind, start, and span of the content."""
    while position + 8 <= end:
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            size, header = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0], 16
        elif size == 0:
            size = end - position
        if size < header or position + size > end:
            return
        yield kind, position, (position + header, position + size)
        position += size
