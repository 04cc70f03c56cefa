"""First values of weights, which are not drawn where stored ones take their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_skips = ContextVar("skips", default=False)

_FILLING = (Tensor.uniform_, Tensor.normal_)


@contextmanager
def without_initialization() -> Iterator[None]:
    """Build modules whose parameters are as the memory was: drawing them takes as long as reading them."""
    token = _skips.set(True)
    try:
        with _Unfilled():
            yield
    finally:
        _skips.reset(token)


class _Unfilled(TorchFunctionMode):
    """Calls the functions of PyTorch, except for those that fill a parameter."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of PyTorch, unless it fills a parameter."""
        kwargs = kwargs or {}
        if func in _FILLING or getattr(func, "__module__", None) == nn.init.__name__:
            filled = kwargs.get("tensor", args[0] if args else None)
            # Some parameters are filled part by part.
            whole = filled if isinstance(filled, nn.Parameter) else getattr(filled, "_base", None)
            if isinstance(whole, nn.Parameter):
                return filled
        return func(*args, **kwargs)


@torch.no_grad()
def rescale_convolutions(module: nn.Module, reference: float) -> None:
    """Bring the deviation of each convolution's weights near to a reference, halfway in decibels.

    Args:
        module: Module with convolutions, whose weights and biases are divided.
        reference: Standard deviation.
    """
    if _skips.get():
        return
    for conv in module.modules():
        if isinstance(conv, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)):
            factor = (reference / conv.weight.std()).sqrt()
            conv.weight.mul_(factor)
            if conv.bias is not None:
                conv.bias.mul_(factor)
