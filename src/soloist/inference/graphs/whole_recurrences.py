"""Recurrent layers that `torch.export` keeps whole.

By default `torch.export` unrolls an LSTM or a GRU into the steps of the example: thousands of nodes for one
length. ONNX and OpenVINO have recurrent layers of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._C import DispatchKey
from torch._decomp import decomposition_table


@contextmanager
def whole_recurrences() -> Iterator[None]:
    """Give `torch.export` the output shapes of an LSTM and a GRU in place of their steps."""
    shapes: dict[Any, Callable[..., tuple[Tensor, ...]]] = {
        torch.ops.aten.lstm.input: _like_lstm,
        torch.ops.aten.gru.input: _like_gru,
    }
    keys = (DispatchKey.CompositeImplicitAutograd, DispatchKey.Autograd)
    with ExitStack() as stack:
        for operator, function in shapes.items():
            stack.enter_context(_changed(operator.py_kernels, dict.fromkeys(keys, function)))
            # Fake tensors use the decomposition.
            stack.enter_context(_changed(decomposition_table, {operator: function}))
            operator._dispatch_cache.clear()
            stack.callback(operator._dispatch_cache.clear)
        yield


@contextmanager
def _changed(table: dict[Any, Any], changes: dict[Any, Any]) -> Iterator[None]:
    """Replace the values of some keys of a table for a while."""
    kept = {key: table[key] for key in changes}
    table.update(changes)
    try:
        yield
    finally:
        table.update(kept)


def _like_lstm(x: Tensor, states: Sequence[Tensor], *options: Any) -> tuple[Tensor, ...]:
    hidden, cell = states
    return _features(x, hidden, options), torch.empty_like(hidden), torch.empty_like(cell)


def _like_gru(x: Tensor, hidden: Tensor, *options: Any) -> tuple[Tensor, ...]:
    return _features(x, hidden, options), torch.empty_like(hidden)


def _features(x: Tensor, hidden: Tensor, options: Sequence[Any]) -> Tensor:
    """Output of `(batch, frames, inputs)`, or of frames first."""
    *_, bidirectional, _ = options
    return x.new_empty(*x.shape[:2], (1 + bidirectional) * hidden.shape[-1])
