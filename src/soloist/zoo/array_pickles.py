"""Checkpoints that hold a dictionary of NumPy arrays in place of tensors.

`torch.save` pickles such arrays whole: they are rebuilt by functions of NumPy, which PyTorch's restricted
reader refuses. Here inert records stand for these four functions and classes, and no others; the records'
numbers are then taken as they are.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soloist.errors import ModelError, one_line

_TYPES = ("f2", "f4", "f8", "i4", "i8", "u1", "b1")
_MOST_MEMBERS = 8


def holds_arrays(path: Path) -> bool:
    """Return True if a file is a zip archive of one pickle and no tensors, as `torch.save` writes arrays."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
            if "data.pkl" not in names or any(name.startswith("data/") for name in names):
                return False
            start = archive.read(_pickle_in(archive))
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return False
    return len(names) <= _MOST_MEMBERS and b"_reconstruct\n" in start


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Read a dictionary of arrays from a file for which `holds_arrays` is true.

    Raises:
        ModelError: The file is damaged, or holds more than named arrays of numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_pickle_in(archive)) as file:
            content = _Unpickler(file, encoding="latin1").load()
        if not isinstance(content, dict):
            raise ValueError("it is no dictionary")
        return {str(name): _tensor(value) for name, value in content.items() if isinstance(value, _Array)}
    except pickle.UnpicklingError as error:
        raise ModelError(f"{path} holds code, not only arrays, and is refused: {one_line(error)}") from error
    # A damaged file makes the reader raise errors of many kinds.
    except Exception as error:
        raise ModelError(f"{path} is damaged, or holds other than named arrays: {one_line(error)}") from error


def _pickle_in(archive: zipfile.ZipFile) -> str:
    return next(name for name in archive.namelist() if name.partition("/")[2] == "data.pkl")


class _Array:
    """Record of an array: shape, type and bytes, once its state is set."""

    shape: tuple[int, ...] = ()
    dtype: _Type
    in_columns = False
    data = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, self.in_columns, self.data = state


class _Type:
    """Record of a NumPy type: its code, and the order of its bytes once its state is set."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


def _make_array(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding!r}")
    return text.encode(encoding)


_STANDINS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _make_array,
    ("numpy._core.multiarray", "_reconstruct"): _make_array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the record that stands for a class or function.

        Raises:
            UnpicklingError: There is none.
        """
        if (module, name) not in _STANDINS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _STANDINS[module, name]


def _tensor(array: _Array) -> Tensor:
    if array.dtype.code not in _TYPES or array.dtype.order not in ("<", "|", "="):
        raise ValueError(f"an array of type {array.dtype.order}{array.dtype.code}")
    numbers = np.frombuffer(bytearray(array.data), "<" + array.dtype.code)
    if len(numbers) != math.prod(array.shape):
        raise ValueError("an array has not as many numbers as its shape")
    return torch.from_numpy(numbers.reshape(array.shape, order="F" if array.in_columns else "C"))
