"""ONNX files read as data: nodes and weights of a graph, without ONNX Runtime."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soloist.errors import ModelError, one_line
from soloist.zoo.protocol_buffers import Fields, numbers, parts, read_message, texts

SUFFIX = ".onnx"

_TAIL = 10_000 * 1024
_TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}
_EXTERNAL = 1


def read_onnx(path: Path) -> dict[str, Any]:
    """Read the graph of an ONNX file.

    Returns:
        `state_dict` with the weights by their names, and `onnx` with plain facts: `nodes`, each a mapping of
        `op`, `inputs`, `outputs` and whole-numbered `attributes`; `input`, the shape of the first input, in
        which 0 stands for a free axis; `tail_hash`, the MD5 of the last 10,240,000 bytes, by which Ultimate
        Vocal Remover knows its models; and `path`, that of the file.

    Raises:
        ModelError: The file cannot be read, is no ONNX file, or keeps its weights in other files.
    """
    try:
        data = path.read_bytes()
        graphs = parts(read_message(data), 7)
        if len(graphs) != 1:
            raise ValueError("it has no graph")
        graph = read_message(graphs[0])
        weights = dict(_tensor(each) for each in parts(graph, 5)) | dict(_constants(graph))
        facts = {
            "nodes": [_node(each) for each in parts(graph, 1)],
            "input": _input_shape(graph, weights),
            "tail_hash": hashlib.md5(data[-_TAIL:], usedforsecurity=False).hexdigest(),
            "path": str(path),
        }
    except (OSError, ValueError, IndexError, KeyError, OverflowError) as error:
        raise ModelError(f"{path} is damaged, or not an ONNX file: {one_line(error)}") from error
    return {"state_dict": weights, "onnx": facts}


def _node(data: bytes) -> dict[str, Any]:
    fields = read_message(data)
    attributes = (read_message(each) for each in parts(fields, 5))
    return {
        "op": texts(fields, 4)[0],
        "inputs": texts(fields, 1),
        "outputs": texts(fields, 2),
        "attributes": {
            texts(each, 1)[0]: numbers(each, 8) or numbers(each, 3)
            for each in attributes
            if 8 in each or 3 in each
        },
    }


def _constants(graph: Fields) -> Iterator[tuple[str, Tensor]]:
    """Outputs of the nodes that are constants, with their values."""
    for node in map(read_message, parts(graph, 1)):
        if texts(node, 4) == ["Constant"]:
            for value in parts(read_message(parts(node, 5)[0]), 5):
                yield texts(node, 2)[0], _tensor(value)[1]


def _tensor(data: bytes) -> tuple[str, Tensor]:
    fields = read_message(data)
    name = (texts(fields, 8) or ["a constant"])[0]
    if numbers(fields, 14)[-1:] == [_EXTERNAL]:
        raise ValueError(f"the weights of {name} are in another file")
    shape, (kind, *_) = numbers(fields, 1), numbers(fields, 2)
    if kind not in _TYPES:
        raise ValueError(f"{name} is of an unknown type")
    if 9 in fields:
        values = np.frombuffer(b"".join(parts(fields, 9)), _TYPES[kind])
    elif 4 in fields:
        values = np.frombuffer(b"".join(parts(fields, 4)), "<f4")
    else:
        values = np.array(numbers(fields, 7) or numbers(fields, 5), _TYPES[kind])
    if values.size != math.prod(shape):
        raise ValueError(f"{name} is cut off")
    return name, torch.from_numpy(values.reshape(shape).copy())


def _input_shape(graph: Fields, weights: dict[str, Tensor]) -> list[int]:
    """Shape of the first input that is no weight."""
    for each in parts(graph, 11):
        fields = read_message(each)
        if texts(fields, 1)[0] in weights:
            continue
        tensor = read_message(parts(read_message(parts(fields, 2)[0]), 1)[0])
        axes = [read_message(axis) for axis in parts(read_message(parts(tensor, 2)[0]), 1)]
        return [(numbers(axis, 1) or [0])[0] for axis in axes]
    raise ValueError("its graph has no input")
