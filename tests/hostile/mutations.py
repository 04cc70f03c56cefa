"""Seeded damage of files: flipped bits, cuts, repeats, swaps, extreme fields, and ends of other files."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

HEADER = 600
"""Bytes at the beginning in which most fields lie."""

_INTEGERS = (
    *(0, 1, 2, 3, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 65537, 1_000_000, 192_000, 768_001),
    *(0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0x10000000, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF),
)
_FLOATS = (0.0, -1.0, 1e-300, 1e9, 1e300, float("inf"), float("nan"))

# Marks of headers: fields with sizes, rates, channels and counts follow them.
_MARKS = (
    *(b"fmt ", b"data", b"fact", b"RIFF", b"RF64", b"ds64", b"COMM", b"SSND"),
    *(b"FORM", b".snd", b"caff", b"desc", b"pakt", b"kuki", b"fLaC", b"OggS"),
    *(b"OpusHead", b"\x01vorbis", b"Xing", b"Info", b"LAME", b"ID3", b"APIC", b"moov"),
    *(b"mvhd", b"mdhd", b"stsd", b"mp4a", b"esds", b"stts", b"stsc", b"stsz"),
    *(b"stco", b"elst", b"mdat", b"avih", b"strh", b"strf", b"idx1", b"movi"),
    *(b"wvpk", b"TTA1", b"stem", b"alac", b"trun", b"tfhd", b"samr", b"\x1a\x45\xdf\xa3"),
    *(b"\xb5", b"\x9f", b"\xe1", b"\x62\x64", b"\xa3", b"\x00\x00\x01\xc0", b"FLV\x01", b"2BIT"),
    *(b"NIST", b"PVF1", b"8SVX", b"16SV", b"VHDR", b"BODY", b"Creative", b"Extended Instrument"),
)

Mutation = Callable[[bytearray, random.Random, bytes], None]


def mutate(content: bytes, other: bytes, seed: int) -> bytes:
    """Damage a file in one to three ways.

    Args:
        content: The file.
        other: Another file, parts of which may be put into it.
        seed: Seed of all that is drawn.
    """
    draw = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        draw.choice(_MUTATIONS)(damaged, draw, other)
    # Otherwise a checksum hides the damage from the decoder.
    if damaged[:4] == b"OggS" and draw.random() < 0.7:
        _repair_pages(damaged)
    return bytes(damaged)


def _flip_bits(damaged: bytearray, draw: random.Random, other: bytes) -> None:
    for _ in range(draw.choice((1, 2, 8, 64))):
        if damaged:
            damaged[_place(damaged, draw)] ^= 1 << draw.randrange(8)


def _overwrite(damaged: bytearray, draw: random.Random, other: bytes) -> None:
    begin, count = _place(damaged, draw), draw.choice((4, 30, 300, 3000))
    count = min(count, len(damaged) - begin)
    noise = draw.choice((bytes(count), b"\xff" * count, draw.randbytes(count)))
    damaged[begin : begin + count] = noise


def _cut_end(damaged: bytearray, draw: random.Random, other: bytes) -> None:
    del damaged[_place(damaged, draw) :]


def _cut_range(damaged: bytearray, draw: random.Random, other: bytes) -> None:
    begin, end = _range(damaged, draw)
    del damaged[begin:end]


def _repeat(damaged: bytearray, draw: random.Random, other: bytes) -> None:
    begin, end = _range(damaged, draw)
    times = draw.choice((1, 1, 2, 20))
    damaged[end:end] = bytes(damaged[begin:end]) * times


def _swap(damaged: bytearray, draw: random.Random, other: bytes) -> None:
    a, b, c, d = sorted(_place(damaged, draw) for _ in range(4))
    damaged[a:d] = damaged[c:d] + damaged[b:c] + damaged[a:b]


def _splice(damaged: bytearray, draw: random.Random, other: bytes) -> None:
    """Go on with another file, or put a part of it in."""
    place = _place(damaged, draw)
    begin, end = _range(bytearray(other), draw)
    if draw.random() < 0.5:
        damaged[place:] = other[begin:]
    else:
        damaged[place:place] = other[begin:end]


def _append(damaged: bytearray, draw: random.Random, other: bytes) -> None:
    damaged += draw.choice((other, bytes(damaged), bytes(5000), draw.randbytes(5000)))


def _extreme_anywhere(damaged: bytearray, draw: random.Random, other: bytes) -> None:
    _put(damaged, draw, draw.randrange(max(1, min(HEADER, len(damaged)))))


def _extreme_field(damaged: bytearray, draw: random.Random, other: bytes) -> None:
    """Put an extreme value into a field behind a mark, or before it."""
    places = [mark for mark in _MARKS if mark in damaged]
    if not places:
        return _extreme_anywhere(damaged, draw, other)
    for _ in range(draw.choice((1, 1, 2, 3))):
        mark = draw.choice(places)
        at = damaged.find(mark)
        following = damaged.find(mark, at + 1)
        at = following if following >= 0 and draw.random() < 0.3 else at
        _put(damaged, draw, at + len(mark) + draw.choice((-8, -6, *range(0, 44))))


def _put(damaged: bytearray, draw: random.Random, place: int) -> None:
    width, order = draw.choice((1, 2, 2, 4, 4, 4, 8)), draw.choice("<>")
    if width == 8 and draw.random() < 0.5:
        value = struct.pack(f"{order}d", draw.choice(_FLOATS))
    else:
        number = draw.choice(_INTEGERS) & ((1 << 8 * width) - 1)
        value = number.to_bytes(width, "little" if order == "<" else "big")
    place = max(0, min(place, len(damaged) - width))
    damaged[place : place + width] = value


def _place(damaged: bytearray, draw: random.Random) -> int:
    """Position in the file, half of the time in its header."""
    if not damaged:
        return 0
    end = min(HEADER, len(damaged)) if draw.random() < 0.5 else len(damaged)
    return draw.randrange(end)


def _range(damaged: bytearray, draw: random.Random) -> tuple[int, int]:
    begin = _place(damaged, draw)
    return begin, min(len(damaged), begin + draw.choice((1, 4, 40, 400, 4000)))


def _repair_pages(damaged: bytearray) -> None:
    """Write the checksums of all pages of an Ogg file anew."""
    position = 0
    while (position := damaged.find(b"OggS", position)) >= 0 and position + 27 <= len(damaged):
        segments = damaged[position + 26]
        length = 27 + segments + sum(damaged[position + 27 : position + 27 + segments])
        if position + length > len(damaged):
            return
        damaged[position + 22 : position + 26] = bytes(4)
        page = damaged[position : position + length].translate(_REVERSED)
        crc = zlib.crc32(page, 0xFFFFFFFF) ^ 0xFFFFFFFF
        damaged[position + 22 : position + 26] = int(f"{crc:032b}"[::-1], 2).to_bytes(4, "little")
        position += length


_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))

_MUTATIONS: tuple[Mutation, ...] = (
    *(_flip_bits, _flip_bits, _overwrite, _cut_end, _cut_range, _repeat, _swap, _splice, _append),
    *(_extreme_anywhere, _extreme_anywhere, _extreme_field, _extreme_field, _extreme_field, _extreme_field),
)
