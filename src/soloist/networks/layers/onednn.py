"""Operations of oneDNN, the CPU library of PyTorch, without a function of their own in PyTorch.

`torch.compile` translates networks into the same operations. Only `project` has gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from soloist.resources import is_captured

_FRAMES = 32
"""Frames that are mapped at once, which stay in the caches."""


def has_onednn(x: Tensor) -> bool:
    """Return True if the functions here accept a tensor: on a CPU, no gradients, in float32 or autocast."""
    if not x.is_cpu or not torch.backends.mkldnn.is_available():
        return False
    known = (torch.float32, torch.bfloat16) if torch.is_autocast_enabled("cpu") else (torch.float32,)
    return x.dtype in known and not (torch.is_grad_enabled() or is_captured())


def learns_on_cpu(x: Tensor) -> bool:
    """Return True where gradients are computed on a CPU in full precision, and nothing is captured."""
    plain = x.is_cpu and x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled("cpu")
    return plain and torch.is_grad_enabled() and not is_captured()


def lowered(x: Tensor) -> Tensor:
    """Tensor in the precision of matrix products: that of autocast, or its own."""
    return x.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else x


def add_convolution(total: Tensor, x: Tensor, weight: Tensor, padding: Sequence[int]) -> None:
    """Add a convolution to a sum, without a tensor for the result.

    All tensors are stored channels-last.

    Args:
        total: Sum `(batch, out_channels, height, width)`, changed in place.
        x: Input of the convolution, `(batch, channels, height, width)`.
        weight: `(out_channels, channels, height, width)`.
        padding: Zeros above and below, and at the left and at the right.
    """
    once = [1, 1]
    x, weight = lowered(x), lowered(weight)
    if total.dtype != x.dtype:
        total += F.conv2d(x, weight, padding=list(padding))
        return
    torch.ops.mkldnn._convolution_pointwise_(
        total, x, weight, None, padding, once, once, 1, "add", 1.0, None, [], None
    )


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: Literal["none", "gelu"] = "none"
) -> Tensor:
    """Linear layer from `(..., inputs)` to `(..., outputs)`.

    Bias and activation cost no pass over the result; the GELU is the exact one.
    """
    algorithm = "none" if activation == "gelu" else ""
    x, weight, bias = lowered(x), lowered(weight), None if bias is None else lowered(bias)
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], algorithm)
    return result


def project(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Linear layer from `(..., inputs)` to `(..., outputs)`, by the faster library where there is one."""
    if has_onednn(x):
        return linear(x, weight, bias)
    if learns_on_cpu(x) and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        # Rows, because a view that a function returns could not be changed in place.
        projected: Tensor = _Projection.apply(x.reshape(-1, x.shape[-1]), weight, bias)
        return projected.view(*x.shape[:-1], -1)
    return F.linear(x, weight, bias)


class _Projection(torch.autograd.Function):
    """`linear` of `(rows, inputs)` with gradients; the library of PyTorch's own takes a tenth longer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            linear(gradient, weight.t(), None) if for_x else None,
            gradient.t() @ x if for_weight else None,
            gradient.sum(dim=0) if for_bias else None,
        )


def add_into(total: Tensor, part: Tensor) -> Tensor:
    """Sum of two tensors; in place of the first where it is precise enough and accepted here."""
    return total.add_(part) if _holds(total, part) else total + part


def multiply_into(x: Tensor, factor: Tensor) -> Tensor:
    """Product of two tensors; in place of the first under the conditions of `add_into`."""
    return x.mul_(factor) if _holds(x, factor) else x * factor


def map_into(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Map a tensor `(batch, frames, ...)` whose frames do not depend on each other.

    Where the functions here accept it, the result takes its place, a few frames after the others.
    """
    if not has_onednn(x):
        return function(x)
    for part in x.split(_FRAMES, dim=1):
        part.copy_(function(part))
    return x


def _holds(x: Tensor, other: Tensor) -> bool:
    """Return True if a tensor may be overwritten by the result of an operation with another one."""
    return has_onednn(x) and torch.promote_types(x.dtype, other.dtype) == x.dtype


def gelu_into(x: Tensor) -> Tensor:
    """GELU of a tensor, in its place where the functions here accept it."""
    return torch.ops.aten.gelu_(x) if has_onednn(x) else F.gelu(x)
