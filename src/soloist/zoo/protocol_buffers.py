"""Messages of protocol buffers, read as data, without their schema and without a library."""

from __future__ import annotations

from collections.abc import Iterator

Fields = dict[int, list[int | bytes]]
"""Values of a message's fields, by their numbers, in the order of the message."""

_FIXED = {1: 8, 5: 4}
_SIZED = 2


def read_message(data: bytes) -> Fields:
    """Read the fields of a message: whole numbers, and bytes of anything else.

    Raises:
        ValueError: The bytes are no message, or end too early.
    """
    fields: Fields = {}
    position = 0
    while position < len(data):
        tag, position = read_varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = read_varint(data, position)
            fields.setdefault(number, []).append(value)
            continue
        size = _FIXED.get(kind)
        if kind == _SIZED:
            size, position = read_varint(data, position)
        if size is None or position + size > len(data):
            raise ValueError("the message is cut off, or of an unknown kind")
        fields.setdefault(number, []).append(data[position : position + size])
        position += size
    return fields


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte, the lowest first; return it and the position behind it.

    Raises:
        ValueError: The number is too long, or the bytes end before it.
    """
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("the message is cut off")
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ValueError("a number has too many bytes")


def numbers(fields: Fields, field: int) -> list[int]:
    """Whole numbers of a field that is repeated, packed or not; negative ones in two's complement."""
    return list(_unpacked(fields.get(field, [])))


def texts(fields: Fields, field: int) -> list[str]:
    """Texts of a field that is repeated."""
    return [value.decode("utf-8", "replace") for value in parts(fields, field)]


def parts(fields: Fields, field: int) -> list[bytes]:
    """Bytes of a field that is repeated: messages, texts or data."""
    return [value for value in fields.get(field, []) if isinstance(value, bytes)]


def _unpacked(values: list[int | bytes]) -> Iterator[int]:
    for value in values:
        position = 0
        while isinstance(value, bytes) and position < len(value):
            number, position = read_varint(value, position)
            yield number - (number >> 63 << 64)
        if isinstance(value, int):
            yield value - (value >> 63 << 64)
