"""Hash of a separator by which another model, or a changed one, is recognised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn


def content_hash(module: nn.Module, *others: object) -> str:
    """Hash of a module's weights and plain attributes, and of the `repr` of further values."""
    digest = hashlib.sha256(repr(others).encode())
    for name, part in module.named_modules():
        digest.update(repr((name, type(part).__qualname__, plain_attributes(part))).encode())
    for name, tensor in _tensors(module):
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)
    return digest.hexdigest()[:32]


def plain_attributes(module: nn.Module) -> dict[str, Any]:
    """Attributes of a module that are numbers, texts, or lists of them, by name."""
    return {key: value for key, value in sorted(vars(module).items()) if _is_plain(value)}


def _tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(part) for part in value)
    return value is None or isinstance(value, (bool, int, float, str))
