"""Layout of MP3 files: frames that exist against counts in the header, joined files, and damage."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path

from soloist.audio.layout import Layout, Part

# Sync word, version, layer and sample rate: equal in all frames of a stream.
_KIND = 0xFFFE0C00
_LAYER_III = 0x00020000
_BITRATES = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MPEG1 = 3
_LOWEST_LIBSNDFILE_RATE = 32000
_DECODER_DELAY = 529
_MARKS = (b"Xing", b"Info", b"VBRI")
_LONGEST_FRAME = 1 << 13
_LONGEST_JUNK_AT_START = 1 << 16
_FEW_BYTES = 64  # Fewer than those of a frame.


@dataclass(frozen=True)
class _Kind:
    """Properties that all frames of a stream share."""

    mask: int
    mono: bool
    rate: int
    samples: int
    sizes: dict[int, int]


@dataclass(frozen=True)
class _Header:
    """Figures of a Xing, Info or VBRI header: frames and bytes (0 if unknown), delay and padding."""

    end: int
    frames: int
    size: int
    delay: int
    padding: int


@dataclass
class _Run:
    """Frames that follow one another without a gap."""

    start: int
    end: int
    frames: int = 0


@dataclass
class _Stream:
    """Stream of one encoder: runs of frames, between which bytes are damaged."""

    kind: _Kind
    header: _Header | None
    runs: list[_Run] = field(default_factory=list)
    ends_in_frame: bool = False

    @property
    def frames(self) -> int:
        """Number of frames that exist."""
        return sum(run.frames for run in self.runs)


def mpeg_layout(path: Path, start: int = 0, end: int | None = None) -> Layout | None:
    """Follow the frames of an MP3 file from header to header, without decoding them.

    Args:
        path: The file.
        start: First byte of the stream.
        end: End of the stream in bytes by a header around it. If None, the end of the file.

    Returns:
        None if the bytes are no MP3 stream.
    """
    with open(path, "rb") as file:
        head = file.read(3) if not start else b"\xff"
        if head[:1] != b"\xff" and head != b"ID3":
            return None
        truncation = None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            whole = start == 0 and end is None
            walk = _Walk(view, start, len(view) if end is None else min(end, len(view)))
            streams = walk.run()
            size = len(view)
    if not streams:
        return None
    if end is not None and end > size + _FEW_BYTES:
        truncation = f"{end - start} bytes of sound are promised, {size - start} exist"
    layouts = [_layout_of(stream, walk.end, stream is streams[-1]) for stream in streams]
    parts = tuple(part for layout in layouts for part in layout.parts)
    if whole and len(parts) == 1 and parts[0].start == streams[0].runs[0].start:
        # The tags around the frames belong to the part: the file is decoded as it is.
        (only,) = parts
        parts = (Part(0, size, samples=only.samples, by_ffmpeg=only.by_ffmpeg),)
    notes = tuple(note for layout in layouts for note in layout.notes)
    return Layout(parts, notes, truncation or layouts[-1].truncation)


def _layout_of(stream: _Stream, end: int, is_last: bool) -> Layout:
    """Parts of one stream, and the differences from its header."""
    kind, header = stream.kind, stream.header
    low = kind.rate < _LOWEST_LIBSNDFILE_RATE
    first = stream.runs[0]
    if header is None:
        free = not kind.sizes.get(_bits(1, kind))
        return Layout(_pieces(stream, first.start, 0, None if not free else 0, by_ffmpeg=not free))
    if header.frames == stream.frames and len(stream.runs) == 1:
        length = stream.frames * kind.samples - header.delay - header.padding
        return Layout((Part(first.start, first.end, samples=length if low else None, by_ffmpeg=low),))
    notes, truncation = _differences(stream, header, end, is_last)
    padding = 0 if truncation else header.padding
    return Layout(_pieces(stream, header.end, header.delay, padding, by_ffmpeg=True), notes, truncation)


def _bits(bitrate: int, kind: _Kind) -> int:
    """Key of the table of sizes for a number of a bit rate without padding."""
    return bitrate << 3 | (kind.mask >> 9 & 6)


def _differences(
    stream: _Stream, header: _Header, end: int, is_last: bool
) -> tuple[tuple[str, ...], str | None]:
    kind = stream.kind
    counted, stated = (
        max(0, frames * kind.samples - header.delay) / kind.rate for frames in (stream.frames, header.frames)
    )
    if header.frames > stream.frames and stream.ends_in_frame and len(stream.runs) == 1:
        return (), f"it ends at {counted:.3f} s of {stated:.3f} s"
    # Some encoders count the frame of the header, too.
    if not header.frames or header.frames - stream.frames in (0, 1) or len(stream.runs) > 1:
        return (), None
    first = stream.runs[0]
    present = (end if is_last else first.end) - header.end
    longest = max(kind.sizes.values())
    if header.frames > stream.frames and (not header.size or header.size > present + 2 * longest):
        return (), f"it ends at {counted:.3f} s of {stated:.3f} s"
    return (f"its header states {stated:.3f} s, there are {counted:.3f} s; all are read",), None


def _pieces(
    stream: _Stream, start: int, delay: int, padding: int | None, *, by_ffmpeg: bool
) -> tuple[Part, ...]:
    """Runs of a stream as parts, and a gap between each two."""
    runs, samples = stream.runs, stream.kind.samples
    if len(runs) == 1 and padding is None:
        return (Part(start, runs[0].end, samples=runs[0].frames * samples, by_ffmpeg=by_ffmpeg),)
    pieces: list[Part] = []
    frame = sum(run.end - run.start for run in runs) / max(1, stream.frames)
    for index, run in enumerate(runs):
        if index:
            lost = max(1, round((run.start - runs[index - 1].end) / frame))
            pieces.append(Part(run.start, run.start, missing=lost * samples))
        cut = (delay if not index else 0, (padding or 0) if index == len(runs) - 1 else 0)
        length = max(0, run.frames * samples - sum(cut))
        begin = start if not index else run.start
        pieces.append(Part(begin, run.end, samples=length, delay=cut[0], by_ffmpeg=by_ffmpeg))
    return tuple(pieces)


class _Walk:
    """Walk over the frames of a file.

    Args:
        view: Bytes of the file.
        start: First byte of the stream.
        end: End of the stream.
    """

    def __init__(self, view: mmap.mmap, start: int, end: int) -> None:
        self._view = view
        self._position = start
        self.end = end
        self._headers = self._find_headers(start)

    def run(self) -> list[_Stream]:
        """Follow the frames to the end; empty if there are none at the beginning."""
        streams: list[_Stream] = []
        begin = self._position
        while True:
            self._skip_tags()
            kind = self._kind_at(self._position)
            if kind is None:
                if not streams and self._position - begin > _LONGEST_JUNK_AT_START:
                    return []
                if not self._resync(streams[-1].kind if streams else None):
                    return streams
                continue
            self._begin(streams, kind)
            self._follow(streams[-1])

    def _begin(self, streams: list[_Stream], kind: _Kind) -> None:
        """Begin a stream, or a run of the last one if the frames are of its kind."""
        header = self._headers.get(self._position)
        last = streams[-1] if streams else None
        alike = last is not None and (last.kind.mask, last.kind.mono) == (kind.mask, kind.mono)
        if header is not None or last is None or not alike:
            last = _Stream(kind, self._read_header(self._position, header, kind) if header else None)
            streams.append(last)
        if last.runs and last.runs[-1].end == self._position:
            return
        start = last.header.end if last.header and not last.runs else self._position
        last.runs.append(_Run(self._position, start))
        self._position = start

    def _follow(self, stream: _Stream) -> None:
        """Count frames of one kind up to the next that is of another kind, or damaged."""
        view, kind, headers = self._view, stream.kind, self._headers
        mask, sizes, end, mono = kind.mask, kind.sizes, self.end - 4, kind.mono
        position, count = self._position, 0
        while position <= end:
            word = int.from_bytes(view[position : position + 4], "big")
            if word & _KIND != mask or ((word & 0xC0) == 0xC0) != mono or (position in headers and count):
                break
            size = sizes.get(word >> 9 & 0x7F, 0)
            if not size or position + size > self.end:
                stream.ends_in_frame = size > 0
                break
            position += size
            count += 1
        self._position = position
        stream.runs[-1].frames += count
        stream.runs[-1].end = position

    def _kind_at(self, position: int) -> _Kind | None:
        """Kind of the frame at a position, if another frame of the kind or the end follows it."""
        word = int.from_bytes(self._view[position : min(self.end, position + 4)], "big")
        kind = _kind_of(word)
        if kind is None or position + 4 > self.end:
            return None
        if not word >> 12 & 15:
            kind = self._free_format(position, word, kind)
        size = kind.sizes.get(word >> 9 & 0x7F, 0) if kind else 0
        if not kind or not size:
            return None
        after = position + size
        if after == self.end:
            return kind
        following = int.from_bytes(self._view[after : min(self.end, after + 4)], "big")
        alike = after + 4 <= self.end and following & _KIND == kind.mask
        return kind if alike or self._view[after : after + 3] in (b"TAG", b"ID3", b"APE") else None

    def _free_format(self, position: int, word: int, kind: _Kind) -> _Kind | None:
        """Kind with the size of frames of no stated bit rate, by the distance to the next header."""
        mark = (word >> 16).to_bytes(2, "big")
        found = position + 4
        while (found := self._view.find(mark, found + 1, position + _LONGEST_FRAME)) >= 0:
            following = int.from_bytes(self._view[found : found + 4], "big")
            if following & 0xFFFEFC00 == word & 0xFFFEFC00:
                size = found - position - (word >> 9 & 1)
                key = word >> 9 & 0x7E
                return _Kind(kind.mask, kind.mono, kind.rate, kind.samples, {key: size, key | 1: size + 1})
        return None

    def _resync(self, kind: _Kind | None) -> bool:
        """Go on to the next frame; False if there is none."""
        position = self._position
        while (position := self._view.find(b"\xff", position + 1, self.end)) >= 0:
            if kind is None and position > self._position + _LONGEST_JUNK_AT_START:
                return False
            found = self._kind_at(position)
            if found and (kind is None or found.mask == kind.mask or position in self._headers):
                self._position = position
                return True
        return False

    def _skip_tags(self) -> None:
        while self._position < self.end:
            head = self._view[self._position : self._position + 32]
            if head[:3] == b"ID3" and len(head) >= 10:
                size = 0
                for byte in head[6:10]:
                    size = size << 7 | byte & 0x7F
                self._position += 10 + size + 10 * (head[5] >> 4 & 1)
            elif head[:3] == b"TAG":
                self._position += 128
            elif head[:8] == b"APETAGEX":
                self._position += 32 + struct.unpack_from("<I", head.ljust(32, b"\0"), 12)[0]
            else:
                return

    def _find_headers(self, start: int) -> dict[int, bytes]:
        """Positions of frames that hold a Xing, Info or VBRI header, and their marks."""
        found: dict[int, bytes] = {}
        for mark in _MARKS:
            at = start
            while (at := self._view.find(mark, at + 1, self.end)) >= 0:
                position = self._frame_of(at, mark)
                if position is not None:
                    found[position] = mark
        return found

    def _frame_of(self, at: int, mark: bytes) -> int | None:
        """Position of the frame whose header has a mark at a position."""
        for offset in (36,) if mark == b"VBRI" else (36, 21, 13):
            position = at - offset
            if position < 0 or _kind_of(int.from_bytes(self._view[position : position + 4], "big")) is None:
                continue
            if mark == b"VBRI" or not any(self._view[position + 6 : at]):
                return position
        return None

    def _read_header(self, position: int, mark: bytes, kind: _Kind) -> _Header:
        word = int.from_bytes(self._view[position : position + 4], "big")
        end = position + max(4, kind.sizes.get(word >> 9 & 0x7F, 0))
        frame = self._view[position:end]
        at = frame.find(mark)
        if mark == b"VBRI":
            size, frames = struct.unpack_from(">II", frame.ljust(at + 18, b"\0"), at + 10)
            return _Header(end, frames, size, 0, 0)
        frame = frame.ljust(at + 160, b"\0")
        (flags,) = struct.unpack_from(">I", frame, at + 4)
        at += 8
        fields = []
        for flag, length in ((1, 4), (2, 4), (4, 100), (8, 4)):
            fields.append(int.from_bytes(frame[at : at + 4], "big") if flags & flag else 0)
            at += length if flags & flag else 0
        delay, padding = 0, 0
        if frame[at : at + 4] in (b"LAME", b"Lavf", b"Lavc", b"GOGO", b"L3.9"):
            both = int.from_bytes(frame[at + 21 : at + 24], "big")
            delay = (both >> 12) + _DECODER_DELAY
            padding = max(0, (both & 0xFFF) - _DECODER_DELAY)
        return _Header(end, fields[0], fields[1], delay, padding)


def _kind_of(word: int) -> _Kind | None:
    """Kind of the frame of a header; None if the word is no header of Layer III."""
    version, rate = word >> 19 & 3, word >> 10 & 3
    if word & 0xFFE60000 != 0xFFE00000 | _LAYER_III or version == 1 or rate == 3 or word >> 12 & 15 == 15:
        return None
    hertz = _RATES[version][rate]
    samples = 1152 if version == _MPEG1 else 576
    rates = _BITRATES[3 if version == _MPEG1 else 2]
    sizes = {
        number << 3 | rate << 1 | padding: samples * 125 * kilobits // hertz + padding
        for number, kilobits in enumerate(rates)
        if number
        for padding in (0, 1)
    }
    return _Kind(word & _KIND, (word & 0xC0) == 0xC0, hertz, samples, sizes)
