"""Cache of exported graphs on disk, each named by its key and its content.

    <hash of the separator>.<hash of that and the file>.onnx

A file that does not match its name is damaged, and is exported again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from soloist import __version__
from soloist.files import home, scratch_folder
from soloist.separators.content_hash import content_hash

_KEPT = 64
_log = logging.getLogger(__name__)


def graphs_folder() -> Path:
    """The folder of exported graphs."""
    return home() / "graphs"


def cached_graph(key: str, make: Callable[[Path], object]) -> bytes:
    """The graph of a key, from the cache or newly exported into it.

    A damaged graph is exported again. The cache keeps the most recently used graphs; without a writable disk
    the graph is exported every time.

    Args:
        key: See `fingerprint`.
        make: Writes the graph into a file.
    """
    folder = graphs_folder()
    for path in folder.glob(f"{key}.*.onnx"):
        # Another process may delete the file first.
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            if path.name == _name(key, content):
                with suppress(OSError):
                    os.utime(path)
                return content
            _log.warning("%s is damaged and will be exported again", path)
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
    """Export a graph, and keep it in a folder if one is given."""
    with scratch_folder(folder) as scratch:
        made = scratch / "graph.onnx"
        make(made)
        content = made.read_bytes()
        if folder is not None:
            made.replace(folder / _name(key, content))
    return content


def is_cached(key: str) -> bool:
    """True if the cache has a graph for a key, damaged or not."""
    return any(graphs_folder().glob(f"{key}.*.onnx"))


def fingerprint(module: nn.Module, *others: object) -> str:
    """Hash of a module's weights and plain attributes, and of the versions of Soloist and PyTorch.

    Args:
        module: The module.
        *others: Further values that the graph depends on, hashed by their `repr`.
    """
    return content_hash(module, __version__, torch.__version__, others)


def _name(key: str, content: bytes) -> str:
    # Hashed with the key: a renamed graph of another model is not accepted.
    return f"{key}.{hashlib.sha256(key.encode() + content).hexdigest()[:32]}.onnx"


def _forget_oldest(folder: Path) -> None:
    ages: dict[Path, float] = {}
    for path in folder.glob("*.onnx"):
        with suppress(OSError):
            ages[path] = path.stat().st_mtime
    for path in sorted(ages, key=ages.__getitem__)[:-_KEPT]:
        with suppress(OSError):
            path.unlink()
