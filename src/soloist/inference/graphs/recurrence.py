"""Recurrent layers that `torch.export` keeps whole.

By itself it writes an LSTM or a GRU down step by step, for as many steps as the example happens to have: a
graph of thousands of nodes for one length. The formats it is written down for have such layers themselves.
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
    """Within it, what `torch.export` has to know of an LSTM or a GRU is the shape of what they return."""
    shapes: dict[Any, Callable[..., tuple[Tensor, ...]]] = {
        torch.ops.aten.lstm.input: _like_lstm,
        torch.ops.aten.gru.input: _like_gru,
    }
    keys = (DispatchKey.CompositeImplicitAutograd, DispatchKey.Autograd)
    with ExitStack() as stack:
        for operator, function in shapes.items():
            stack.enter_context(_changed(operator.py_kernels, dict.fromkeys(keys, function)))
            # Fake tensors, too, ask for a decomposition.
            stack.enter_context(_changed(decomposition_table, {operator: function}))
            operator._dispatch_cache.clear()
            stack.callback(operator._dispatch_cache.clear)
        yield


@contextmanager
def _changed(table: dict[Any, Any], changes: dict[Any, Any]) -> Iterator[None]:
    """A table with other values for some keys, which it has already."""
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
    """What `(batch, frames, inputs)`, or frames first, become."""
    *_, bidirectional, _ = options
    return x.new_empty(*x.shape[:2], (1 + bidirectional) * hidden.shape[-1])
