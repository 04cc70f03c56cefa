"""Layout of Ogg files (RFC 3533): chained streams, damaged pages, and files that end early."""

from __future__ import annotations

import mmap
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from soloist.audio.layout import Layout, Part

_PAGE = struct.Struct("<4sBBQIIIB")
_MAGIC = b"OggS"
_BEGINS = 2
_VORBIS = b"\x01vorbis"
_NO_PACKET_ENDS = 0xFFFFFFFFFFFFFFFF
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


@dataclass
class _Run:
    """Pages without a gap, and the number of samples up to their end by the last page."""

    start: int
    end: int
    samples: int = 0


@dataclass
class _Link:
    """One stream of a chain, or several that are multiplexed."""

    start: int
    is_vorbis: bool
    # Number of the last page of each stream, and the end of the pages before the sound.
    pages: dict[int, int] = field(default_factory=dict)
    headers_end: int | None = None
    runs: list[_Run] = field(default_factory=list)

    @property
    def is_damaged(self) -> bool:
        """True if pages are missing."""
        return len(self.runs) > 1


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
            if len(links) == 1 and not links[0].is_damaged and not truncated:
                return None
            ends = [link.start for link in links[1:]] + [size]
            parts = [
                part
                for link, end in zip(links, ends, strict=True)
                for part in _parts_of(view, link, end, by_ffmpeg=truncated and end == size)
            ]
    return Layout(tuple(parts), truncation="it ends in the middle of a page" if truncated else None)


def _parts_of(view: mmap.mmap, link: _Link, end: int, *, by_ffmpeg: bool) -> list[Part]:
    """Parts of a link: the whole, or for damaged Vorbis the runs of its pages.

    FFmpeg does not notice missing pages of Vorbis in its time stamps.
    """
    if not link.is_damaged or not link.is_vorbis or link.headers_end is None or len(link.pages) > 1:
        return [Part(link.start, end, by_ffmpeg=by_ffmpeg or link.is_damaged, damaged=link.is_damaged)]
    headers = bytes(view[link.start : link.headers_end])
    first, *others = link.runs
    parts = [Part(link.start, first.end, samples=first.samples or None)]
    parts += [Part(run.start, run.end, headers, ends_at=run.samples) for run in others if run.samples]
    return parts


def _walk(view: mmap.mmap) -> tuple[list[_Link], bool]:
    """Follow the pages; return the links, and True if the file ends in the middle of a page."""
    links = [_Link(0, _VORBIS in view[:512])]
    position, lost = 0, False
    while 0 <= position < len(view):
        length = _page_length(view, position)
        ends = position + length > len(view)
        if not length or ends or not _is_intact(view, position, length):
            following = view.find(_MAGIC, position + 1)
            if following < 0:
                return links, ends and length > 0
            position, lost = following, True
            continue
        _add_page(links, view, position, length, lost)
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


def _add_page(links: list[_Link], view: mmap.mmap, position: int, length: int, lost: bool) -> None:
    _, _, kind, granule, serial, number, _, _ = _PAGE.unpack_from(view, position)
    link = links[-1]
    sounds = link.headers_end is not None
    if kind & _BEGINS and link.pages and (sounds or serial in link.pages):
        link = _Link(position, _VORBIS in view[position : position + length])
        links.append(link)
        sounds = lost = False
    # Recordings of radio streams begin with headers, and go on with a later page.
    lost = lost or (sounds and number != link.pages.get(serial, number - 1) + 1)
    if granule and granule != _NO_PACKET_ENDS and not sounds:
        link.headers_end = position
    if lost or not link.runs:
        link.runs.append(_Run(position, position))
    run = link.runs[-1]
    run.end = position + length
    run.samples = run.samples if granule == _NO_PACKET_ENDS else granule
    link.pages[serial] = number
