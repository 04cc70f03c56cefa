"""Layout of Ogg files (RFC 3533): chained streams, damaged pages, and files that end early."""

from __future__ import annotations

import mmap
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from soloist.audio.layout import Layout, Part

_PAGE = struct.Struct("<4sBBqIIIB")
_MAGIC = b"OggS"
_BEGINS = 2
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


@dataclass
class _Link:
    """One stream of a chain, or several that are multiplexed."""

    start: int
    serials: set[int] = field(default_factory=set)
    damaged: bool = False
    # Number of the last page of each stream, and whether a page has had sound.
    pages: dict[int, int] = field(default_factory=dict)
    sounds: bool = False


def ogg_layout(path: Path) -> Layout | None:
    """Find the links of an Ogg file by the headers and checksums of its pages.

    Returns:
        None if the file is of another format, or one complete stream.
    """
    with open(path, "rb") as file:
        if file.read(4) != _MAGIC:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            size = len(view)
            links, truncated = _walk(view)
    if len(links) == 1 and not links[0].damaged and not truncated:
        return None
    ends = [link.start for link in links[1:]] + [size]
    parts = tuple(
        Part(link.start, end, by_ffmpeg=link.damaged or (truncated and end == size), damaged=link.damaged)
        for link, end in zip(links, ends, strict=True)
    )
    return Layout(parts, truncation="it ends in the middle of a page" if truncated else None)


def _walk(view: mmap.mmap) -> tuple[list[_Link], bool]:
    """Follow the pages; return the links, and True if the file ends in the middle of a page."""
    links = [_Link(0)]
    position, lost = 0, False
    while 0 <= position < len(view):
        length = _page_length(view, position)
        ends = position + length > len(view)
        if not length or ends or not _is_intact(view, position, length):
            following = view.find(_MAGIC, position + 1)
            if following < 0:
                return links, ends and length > 0
            links[-1].damaged, lost = True, True
            position = following
            continue
        _add_page(links, view, position, lost)
        lost = False
        position += length
    return links, False


def _page_length(view: mmap.mmap, position: int) -> int:
    """Bytes of the page at a position; 0 if there is none."""
    if view[position : position + 4] != _MAGIC[: len(view) - position]:
        return 0
    if position + _PAGE.size > len(view):
        return _PAGE.size
    segments = view[position + 26]
    return _PAGE.size + segments + sum(view[position + 27 : position + 27 + segments])


def _is_intact(view: mmap.mmap, position: int, length: int) -> bool:
    """Check the checksum of a page.

    Ogg's polynomial is that of zlib with the bits in the other order, and without inversions.
    """
    page = bytearray(view[position : position + length])
    (stored,) = struct.unpack_from("<I", page, 22)
    page[22:26] = bytes(4)
    found = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{found:032b}"[::-1], 2) == stored


def _add_page(links: list[_Link], view: mmap.mmap, position: int, lost: bool) -> None:
    _, _, kind, granule, serial, number, _, _ = _PAGE.unpack_from(view, position)
    link = links[-1]
    if kind & _BEGINS and link.pages and (link.sounds or serial in link.serials):
        link = _Link(position)
        links.append(link)
    # Recordings of radio streams begin with headers, followed by a later page.
    if link.sounds and not lost and number != link.pages.get(serial, number - 1) + 1:
        link.damaged = True
    link.serials.add(serial)
    link.pages[serial] = number
    link.sounds = link.sounds or granule > 0
