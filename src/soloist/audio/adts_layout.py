"""Layout of AAC files of bare frames (ADTS, ISO/IEC 13818-7): damage, and files that are joined."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from soloist.audio.flac_layout import skip_id3
from soloist.audio.layout import Layout, Part

_HEAD = 7
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_FRAME = 1024


@dataclass
class _Run:
    """Frames of one kind that follow one another without a gap; `samples` at the rate `rate` in Hz."""

    start: int
    end: int
    rate: int
    samples: int = 0


def adts_layout(path: Path) -> Layout | None:
    """Follow the frames of an ADTS file, without decoding them.

    FFmpeg passes over bytes that are no frames, and says nothing of it.

    Returns:
        None if the file is of another format, or all its frames follow one another.
    """
    with open(path, "rb") as file:
        begin = skip_id3(file.read(10))
        file.seek(begin)
        if _kind(file.read(_HEAD)) is None:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            runs, size = _find_runs(view, begin), len(view)
    if len(runs) < 2:
        return None
    parts = [_part(runs[0])]
    for before, run in pairwise(runs):
        if run.start > before.end:
            lost = max(
                1, round((run.start - before.end) * before.samples / (before.end - before.start) / _FRAME)
            )
            parts.append(Part(run.start, run.start, missing=lost * _FRAME, rate=before.rate))
        parts.append(_part(run))
    if runs[-1].end < size:
        # FFmpeg names a last frame that is incomplete.
        parts[-1] = replace(parts[-1], end=size, samples=None)
    return Layout(tuple(parts))


def _part(run: _Run) -> Part:
    return Part(run.start, run.end, samples=run.samples, rate=run.rate, by_ffmpeg=True)


def _find_runs(view: mmap.mmap, position: int) -> list[_Run]:
    runs: list[_Run] = []
    while position >= 0:
        run = _follow(view, position)
        if run is not None:
            runs.append(run)
        position = view.find(b"\xff", run.end if run else position + 1)
    return runs


def _follow(view: mmap.mmap, position: int) -> _Run | None:
    """Follow the frames from a position on; None if fewer than two, or one at the end, are there."""
    head = view[position : position + _HEAD]
    kind = _kind(head)
    if kind is None:
        return None
    run = _Run(position, position, _RATES[head[2] >> 2 & 15])
    frames = 0
    while _kind(head) == kind:
        following = run.end + ((head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5)
        if following > len(view):
            break
        run.samples += _FRAME * (1 + (head[6] & 3))
        run.end, frames = following, frames + 1
        head = view[following : following + _HEAD]
    return run if frames > 1 or (frames and run.end == len(view)) else None


def _kind(head: bytes) -> tuple[int, int, int] | None:
    """Fields that all frames of a stream share; None if the bytes are no header of a frame."""
    if len(head) < _HEAD or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 >= len(_RATES):
        return None
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return (head[1], head[2], head[3] & 0xC0) if length > _HEAD else None
