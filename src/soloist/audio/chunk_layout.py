"""Layout of files in chunks that state their sizes: CAF, W64, IFF, AVI, MP4, ASF, VOC, Matroska."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from soloist.audio.layout import Layout, Part

_UNKNOWN = (1 << 64) - 1
_W64_DATA = b"data" + bytes.fromhex("f3acd3118cd100c04f8edb8a")
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_EBML, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_LONGEST_HEAD = 24


@dataclass(frozen=True)
class _Chunk:
    """Chunk at a position: its name, the length of its head, and the size of its content in bytes."""

    name: bytes
    head: int
    size: int | None


@dataclass(frozen=True)
class _Format:
    """Format of files that are sequences of chunks.

    Attributes:
        start: Position of the first chunk.
        chunk: Reads the head of a chunk; None if it is incomplete. Sizes are None if the header has none.
        sound: Names of the chunks that hold sound.
        align: Number of bytes of which positions of chunks are multiples.
    """

    start: int
    chunk: Callable[[bytes], _Chunk | None]
    sound: tuple[bytes, ...]
    align: int = 1


def chunk_layout(path: Path) -> Layout | None:
    """Compare the sizes of the chunks that hold sound with the bytes of a file.

    Returns:
        None if the file is of another format, or no sound is missing.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(_LONGEST_HEAD)
        found = _find_format(head)
        if found is None:
            return None
        cut = (_cut_cluster if found is _MATROSKA else partial(_cut_chunk, found))(file, size)
    if not cut:
        return None
    promised, present = cut
    return Layout((Part(0, size),), truncation=f"{promised} bytes are promised, {present} exist")


def _find_format(head: bytes) -> _Format | None:
    for mark, at, found in _FORMATS:
        if head[at : at + len(mark)] == mark:
            return found
    return None


def _cut_chunk(found: _Format, file: BinaryIO, size: int) -> tuple[int, int] | None:
    """Bytes of a chunk of sound by its head, and those that exist; None if all chunks are complete."""
    for chunk, position in _walk(file, found, found.start):
        if chunk.size is None:
            return None
        if chunk.name in found.sound and position + chunk.size > size:
            return chunk.size, size - position
    return None


def _walk(file: BinaryIO, found: _Format, position: int) -> Iterator[tuple[_Chunk, int]]:
    """Chunks of a file, and the positions of their contents."""
    while True:
        file.seek(position)
        chunk = found.chunk(file.read(_LONGEST_HEAD))
        if chunk is None:
            return
        yield chunk, position + chunk.head
        if chunk.size is None:
            return
        position += chunk.head + chunk.size
        position += -position % found.align
        if position >= 1 << 63:
            return


def _cut_cluster(file: BinaryIO, size: int) -> tuple[int, int] | None:
    """Bytes of the segment of a Matroska file, and those that exist; None if no sound is missing.

    The seek index and the tags behind the sound may be missing.
    """
    segment, start = next(islice(_walk(file, _MATROSKA, 0), 1, None), (None, 0))
    if segment is None or segment.name != _SEGMENT or segment.size is None or start + segment.size <= size:
        return None
    for element, position in _walk(file, _MATROSKA, start):
        if element.size is None:
            return None
        if position + element.size > size and element.name != _CLUSTER:
            return None
    return segment.size, max(0, size - start)


def _fields(layout: str, *, inclusive: bool = False) -> Callable[[bytes], _Chunk | None]:
    """Reader of heads that are a name and a size, in which the head may be counted, too."""
    form = struct.Struct(layout)

    def read(head: bytes) -> _Chunk | None:
        if len(head) < form.size:
            return None
        name, size = form.unpack_from(head)
        size -= form.size if inclusive else 0
        return _Chunk(name, form.size, size) if size >= 0 else None

    return read


def _caf_chunk(head: bytes) -> _Chunk | None:
    chunk = _fields(">4sQ")(head)
    return _Chunk(chunk.name, chunk.head, None) if chunk and chunk.size == _UNKNOWN else chunk


def _avi_chunk(head: bytes) -> _Chunk | None:
    chunk = _fields("<4sI")(head)
    # Within a further RIFF of OpenDML, chunks follow after its type.
    return _Chunk(chunk.name, 12, 0) if chunk and chunk.name == b"RIFF" else chunk


def _mp4_atom(head: bytes) -> _Chunk | None:
    if len(head) < 8:
        return None
    size, name = struct.unpack_from(">I4s", head)
    if size == 0:  # Up to the end.
        return _Chunk(name, 8, None)
    if size == 1:
        return _Chunk(name, 16, struct.unpack_from(">Q", head.ljust(16, b"\0"), 8)[0] - 16)
    return _Chunk(name, 8, size - 8) if size >= 8 else None


def _voc_block(head: bytes) -> _Chunk | None:
    """Read the head of a block; a block of type 0 is the end."""
    if len(head) < 4 or not head[0]:
        return None
    return _Chunk(b"sound", 4, int.from_bytes(head[1:4], "little"))


def _element(head: bytes) -> _Chunk | None:
    """Read the head of an EBML element (RFC 8794)."""
    if len(head) < 2 or not head[0]:
        return None
    width = 9 - head[0].bit_length()
    length = 9 - head[width : width + 1].ljust(1, b"\0")[0].bit_length()
    if length > 8 or len(head) < width + length:
        return None
    mask = (1 << 7 * length) - 1
    size = int.from_bytes(head[width : width + length], "big") & mask
    return _Chunk(head[:width], width + length, None if size == mask else size)


_MATROSKA = _Format(0, _element, (_CLUSTER,))
_MP4 = _Format(0, _mp4_atom, (b"mdat", b"moof"))
_IFF = _Format(12, _fields(">4sI"), (b"BODY",), align=2)
_ASF = _Format(0, _fields("<16sQ", inclusive=True), (_ASF_DATA,))

# Marks of formats, and where they stand.
_FORMATS = (
    (b"caff", 0, _Format(8, _caf_chunk, (b"data",))),
    (b"riff", 0, _Format(40, _fields("<16sQ", inclusive=True), (_W64_DATA,), align=8)),
    (b"8SVX", 8, _IFF),
    (b"16SV", 8, _IFF),
    (b"AVI ", 8, _Format(12, _avi_chunk, (b"LIST",), align=2)),
    (b"Creative Voice File", 0, _Format(26, _voc_block, (b"sound",))),
    (_EBML, 0, _MATROSKA),
    (_ASF_HEADER, 0, _ASF),
    *((name, 4, _MP4) for name in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp")),
)
