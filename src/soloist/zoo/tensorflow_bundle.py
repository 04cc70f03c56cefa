"""TensorFlow's checkpoints ("bundles", format V2), read as data, without TensorFlow and without a program in
them.

A bundle is an index, `model.index`, and shards, `model.data-00000-of-00001`. The index is a sorted table of
blocks, as of LevelDB: names of variables, and for each a message (of protocol buffers) with type, shape,
place and check value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np
import torch
from torch import Tensor

from soloist.errors import ModelError, one_line
from soloist.zoo.protocol_buffers import Fields, parts, read_message, read_varint

SUFFIX = ".index"

_FOOTER = 48
_MAGIC = bytes.fromhex("57fb808b247547db")
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 10: "?", 19: "<f2"}
_BFLOAT16 = 14
_SLOTS = ("/Adam", "/Adam_1")
"""Ends of the names of an optimiser's variables, which are as many again as those of the network."""


@dataclass(frozen=True)
class _Variable:
    """Entry of the index: type, shape, and the place and the check value of the bytes."""

    type: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    check: int


def is_bundle(path: Path) -> bool:
    """Return True if a file is the index of a bundle, by its name."""
    return path.suffix == SUFFIX and path.is_file()


def bundle_files(path: Path) -> list[Path]:
    """Find the files of a bundle: the index, then the shards.

    Args:
        path: The index, a file beside it, the path of both without their endings (`2stems/model`), or a
            folder with one bundle.

    Returns:
        Files of the bundle; an empty list if there is none.
    """
    indices = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path.with_name(path.name + SUFFIX), path]
    indices += [path.with_name(path.name.partition(".data-")[0] + SUFFIX)] if ".data-" in path.name else []
    found = [index for index in indices if is_bundle(index)]
    if len(found) != 1:
        return []
    return [found[0], *sorted(found[0].parent.glob(f"{found[0].stem}.data-?????-of-?????"))]


def read_bundle(files: Sequence[Path]) -> dict[str, Tensor]:
    """Read the variables of a bundle, without those of an Adam optimiser; all check values are checked.

    Args:
        files: The index, then the shards.

    Raises:
        ModelError: A file is missing or damaged, or holds what is not supported.
    """
    index, *shards = files
    try:
        entries = dict(_entries(index.read_bytes()))
        variables = {name.decode(): _variable(entry) for name, entry in entries.items() if name}
        header = read_message(entries[b""])
        if len(shards) != (count := _number(header, 1)):
            raise ValueError(f"{len(shards)} of its {count} data files are beside it")
        if _number(header, 2):
            raise ValueError("its numbers are big-endian")
        kept = {name: each for name, each in variables.items() if not name.endswith(_SLOTS)}
        return _read(shards, kept)
    except (OSError, ValueError, IndexError, KeyError, OverflowError) as error:
        raise ModelError(f"{index} is damaged, or not supported: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return "it ends too early" if isinstance(error, (IndexError, KeyError)) else one_line(error)


def _read(shards: Sequence[Path], variables: dict[str, _Variable]) -> dict[str, Tensor]:
    found = {}
    handles = [shard.open("rb") for shard in shards]
    try:
        for name, variable in variables.items():
            file = handles[variable.shard]
            file.seek(variable.offset)
            data = file.read(variable.size)
            if len(data) != variable.size or masked_crc32c(data) != variable.check:
                raise ValueError(f"{name} has not the bytes that were written")
            found[name] = _tensor(name, variable, data)
    finally:
        for file in handles:
            file.close()
    return found


def _tensor(name: str, variable: _Variable, data: bytes) -> Tensor:
    known = _TYPES.get(variable.type, "<i2" if variable.type == _BFLOAT16 else None)
    if known is None:
        raise ValueError(f"{name} is of type {variable.type}, which is no number")
    dtype = np.dtype(known)
    if math.prod(variable.shape) * dtype.itemsize != variable.size:
        raise ValueError(f"{name} has {variable.size} bytes, which are not those of its shape")
    tensor = torch.from_numpy(np.frombuffer(bytearray(data), dtype).reshape(variable.shape))
    return tensor.view(torch.bfloat16) if variable.type == _BFLOAT16 else tensor


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table."""
    footer = table[-_FOOTER:]
    if len(footer) < _FOOTER or footer[-len(_MAGIC) :] != _MAGIC:
        raise ValueError("it is no index of TensorFlow's")
    *_, offset, size = _varints(footer, 4)
    for _, handle in _block(table, offset, size):
        yield from _block(table, *_varints(handle, 2))


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; a key shares its begin with the key before."""
    checked, stored = table[offset : offset + size + 1], table[offset + size + 1 : offset + size + 5]
    if len(stored) < 4 or masked_crc32c(checked) != int.from_bytes(stored, "little"):
        raise ValueError("the index has not the bytes that were written")
    if checked[-1]:
        raise ValueError("the index is compressed")
    restarts = int.from_bytes(checked[-5:-1], "little")
    content = checked[: max(0, size - 4 - 4 * restarts)]
    position, key = 0, b""
    while position < len(content):
        (shared, unshared, length), position = _varints_at(content, position, 3)
        end = position + unshared + length
        if shared > len(key) or end > len(content):
            raise IndexError
        key = key[:shared] + content[position : position + unshared]
        yield key, content[position + unshared : end]
        position = end


def _variable(entry: bytes) -> _Variable:
    message = read_message(entry)
    if 7 in message:
        raise ValueError("a variable is in slices")
    shape = read_message(b"".join(parts(message, 2)))
    sizes = tuple(_number(read_message(each), 1) for each in parts(shape, 2))
    numbers = [_number(message, field) for field in (1, 3, 4, 5, 6)]
    return _Variable(numbers[0], sizes, *numbers[1:])


def _number(message: Fields, field: int) -> int:
    value = message.get(field, [0])[-1]
    return int.from_bytes(value, "little") if isinstance(value, bytes) else value


def _varints(data: bytes, count: int) -> list[int]:
    return _varints_at(data, 0, count)[0]


def _varints_at(data: bytes, position: int, count: int) -> tuple[list[int], int]:
    """Several numbers, and the position behind them."""
    found = []
    for _ in range(count):
        number, position = read_varint(data, position)
        found.append(number)
    return found, position


def masked_crc32c(data: bytes) -> int:
    """Check value (Castagnoli) as TensorFlow stores it: rotated, with a constant added."""
    value = int(google_crc32c.value(data))
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
