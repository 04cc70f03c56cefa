"""Contents of published checkpoint files, read without running their code.

Some authors published whole pickled modules, whose pickle names the classes of their code. These classes are
not imported: PyTorch's restricted reader (`weights_only=True`) gets an inert record in place of every class
that it does not know, and the weights are taken out of the records.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from soloist.errors import ModelError, one_line
from soloist.zoo import onnx_graph
from soloist.zoo.array_pickles import holds_arrays, read_arrays

_NESTED = ("state_dict", "model_state_dict", "model", "best_state", "state")
"""Keys of the weights in a training checkpoint, in the order in which their programs would take them."""


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint file, on the CPU, without running code of the file.

    Args:
        path: File that `torch.save` wrote: a state dict, a training checkpoint that holds one, or a module.

    Raises:
        ModelError: The file is missing, damaged, no checkpoint, or holds no weights.
    """
    return state_in(read_content(path), path)


def read_content(path: Path) -> Any:
    """Read the content of a checkpoint file, with records in place of objects of unknown classes.

    Raises:
        ModelError: The file is missing, damaged, or no checkpoint.
    """
    if path.suffix == ".safetensors" and path.is_file():
        return _load_safetensors(path)
    if path.suffix.lower() == onnx_graph.SUFFIX and path.is_file():
        return onnx_graph.read_onnx(path)
    _check_container(path)
    if holds_arrays(path):
        return read_arrays(path)
    try:
        return _load_inert(path)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds code, not only weights, and is refused: save the state_dict() of its module"
        ) from error
    # A damaged file makes the reader raise errors of many kinds.
    except Exception as error:
        raise ModelError(f"{path} is damaged, or not a PyTorch checkpoint") from error


def state_in(content: Any, path: Path) -> dict[str, Tensor]:
    """State dict in the content of a checkpoint file.

    Raises:
        ModelError: There is none.
    """
    state = dict(_tensors(content))
    if not state:
        raise ModelError(f"{path} holds no weights: neither a state dict nor a module")
    return state


class _Record:
    """Inert stand-in for an object of a class that is not imported, with its attributes."""

    path: str
    arguments: tuple[Any, ...]

    def __new__(cls, *arguments: Any) -> _Record:
        record = super().__new__(cls)
        record.arguments = arguments
        return record

    def __init__(self, *_arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def _check_container(path: Path) -> None:
    """Refuse files that are neither a zip archive nor pickles, the two kinds that `torch.save` writes."""
    if not path.is_file():
        raise ModelError(f"there is no checkpoint file {path}")
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {one_line(error)}") from error
    if start != b"PK" and start[:1] != b"\x80":
        raise ModelError(f"{path} is not a PyTorch checkpoint")
    if start == b"PK" and not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is truncated or damaged")


def _load_inert(path: Path) -> Any:
    with safe_globals([(type("_Record", (_Record,), {"path": name}), name) for name in foreign_names(path)]):
        return torch.load(path, map_location="cpu", weights_only=True)


def foreign_names(path: Path) -> frozenset[str]:
    """Names of the classes and functions that a checkpoint file asks for besides PyTorch's."""
    return frozenset(get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else [])


def _load_safetensors(path: Path) -> dict[str, Any]:
    """Metadata of a safetensors file, or of the JSON file of its name beside it, with its tensors as `state`.

    Raises:
        ModelError: A file is damaged.
    """
    sidecar = path.with_suffix(".json")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if not metadata and sidecar.is_file():
            metadata = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path} is damaged, or no safetensors file: {one_line(error)}") from error
    return {**metadata, "state": state}


def _tensors(content: Any) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of the content of a checkpoint file."""
    if isinstance(content, _Record):
        yield from _module_tensors(content, "")
    elif isinstance(content, Mapping):
        tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
        nested = next((content[key] for key in _NESTED if key in content), None)
        if not tensors:
            yield from _tensors(nested)
        # nn.DataParallel puts this before every name.
        elif all(str(key).startswith("module.") for key in tensors):
            yield from ((key.removeprefix("module."), value) for key, value in tensors.items())
        else:
            yield from ((str(key), value) for key, value in tensors.items())


def _module_tensors(module: _Record, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """State dict of a module that was read as records."""
    attributes = vars(module)
    transient = attributes.get("_non_persistent_buffers_set", ())
    for kind in ("_parameters", "_buffers"):
        for name, value in _entries(attributes, kind):
            if isinstance(value, Tensor) and not (isinstance(transient, set) and name in transient):
                yield prefix + name, value.detach()
    for name, child in _entries(attributes, "_modules"):
        if isinstance(child, _Record):
            yield from _module_tensors(child, f"{prefix}{name}.")


def plain_values(content: Any, depth: int = 10) -> Any:
    """Plain values of a file, without weights; a record becomes the list of its arguments.

    The class of a record becomes its name. Values below `depth` levels become None: a file can hold a list
    that holds itself.
    """
    if depth == 0:
        return None
    if isinstance(content, Mapping):
        return {
            str(key): plain_values(value, depth - 1)
            for key, value in content.items()
            if key not in _NESTED and not isinstance(value, Tensor)
        }
    if isinstance(content, type) and issubclass(content, _Record):
        return content.path
    items = content.arguments if isinstance(content, _Record) else content
    if isinstance(items, (list, tuple)):
        return [plain_values(value, depth - 1) for value in items]
    return items if isinstance(items, (str, int, float)) else None


def _entries(attributes: Mapping[str, Any], kind: str) -> list[tuple[str, Any]]:
    entries = attributes.get(kind)
    return [(str(key), value) for key, value in entries.items()] if isinstance(entries, Mapping) else []
