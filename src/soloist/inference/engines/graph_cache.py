"""Exported graphs on disk, each under a name that says what it was made of and what is in it.

    <hash of what the graph was made of>.<hash of that and the file>.onnx

A file that is not what its name says, because it was cut short or is another one, is made anew.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from soloist import __version__
from soloist.files import home

_KEPT = 64
_log = logging.getLogger(__name__)


def graphs_folder() -> Path:
    """The folder of exported graphs."""
    return home() / "graphs"


def cached_graph(key: str, make: Callable[[Path], object]) -> bytes:
    """The graph that a key stands for: from the cache, if what lies there is whole, or made and put there.

    Of the graphs in the cache the ones that were used last are kept. Where nothing can be kept, because the
    disk is full or may not be written to, the graph is made all the same.

    Args:
        key: See `fingerprint`.
        make: Writes the graph into a file.
    """
    folder = graphs_folder()
    for path in folder.glob(f"{key}.*.onnx"):
        # Another process may be faster.
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            if path.name == _name(key, content):
                with suppress(OSError):
                    os.utime(path)
                return content
            _log.warning("%s is damaged, and is made anew", path)
            with suppress(OSError):
                path.unlink()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = _make(make, folder, key)
    except OSError as error:
        _log.warning("graphs cannot be kept: %s", error)
        return _make(make)
    _forget_oldest(folder)
    return content


def _make(make: Callable[[Path], object], folder: Path | None = None, key: str = "") -> bytes:
    """Make a graph, and keep it in a folder, if there is one."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        made = Path(scratch) / "graph.onnx"
        make(made)
        content = made.read_bytes()
        if folder is not None:
            made.replace(folder / _name(key, content))
    return content


def is_cached(key: str) -> bool:
    """Whether there is a graph for a key in the cache, whole or not."""
    return any(graphs_folder().glob(f"{key}.*.onnx"))


def fingerprint(module: nn.Module, *others: object) -> str:
    """A hash of all that decides what a module computes, and of the versions of what exports it.

    That is its weights, and every plain value that one of its parts was made with.

    Args:
        module: The module.
        *others: What else decides about its graph; their `repr` is what counts.
    """
    digest = hashlib.sha256(repr((__version__, torch.__version__, others)).encode())
    for name, part in module.named_modules():
        plain = {key: value for key, value in sorted(vars(part).items()) if _is_plain(value)}
        digest.update(repr((name, type(part).__qualname__, plain)).encode())
    for name, tensor in _tensors(module):
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)
    return digest.hexdigest()[:32]


def _tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(part) for part in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _name(key: str, content: bytes) -> str:
    # With the key, so that the graph of another model is none of this one under whatever name.
    return f"{key}.{hashlib.sha256(key.encode() + content).hexdigest()[:32]}.onnx"


def _forget_oldest(folder: Path) -> None:
    ages: dict[Path, float] = {}
    for path in folder.glob("*.onnx"):
        with suppress(OSError):
            ages[path] = path.stat().st_mtime
    for path in sorted(ages, key=ages.__getitem__)[:-_KEPT]:
        with suppress(OSError):
            path.unlink()
