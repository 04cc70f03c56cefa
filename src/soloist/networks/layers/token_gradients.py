"""Operations on tokens whose gradients are written out, for trainings on a processor.

Written as separate operations, a gradient passes through memory once for each, and its large tensors cost as
much in page faults as in arithmetic. Here they are made for a few tokens at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu

from soloist.networks.layers.onednn import project
from soloist.resources import is_captured

_PART = 2048
"""Tokens that are mapped at once: what they need stays in the caches, and is not returned to the system."""

_LEAST = 1e-12
"""Least length by which a vector is divided."""


def rms_norm(x: Tensor, gain: Tensor) -> Tensor:
    """Scale vectors to the length `sqrt(dim)`, with gradients.

    Args:
        x: `(..., dim)`, accepted by `learns_on_cpu`.
        gain: Factor of each feature.
    """
    result: Tensor = _RMSNorm.apply(x, gain)
    return result


def feed_forward(
    x: Tensor, expand: Tensor, expand_bias: Tensor, contract: Tensor, contract_bias: Tensor
) -> Tensor:
    """Two linear layers with a GELU between them, with gradients.

    Args:
        x: `(..., dim)`, accepted by `learns_on_cpu`.
        expand: Weight `(hidden, dim)`.
        expand_bias: `(hidden,)`.
        contract: Weight `(outputs, hidden)`.
        contract_bias: `(outputs,)`.
    """
    result: Tensor = _FeedForward.apply(x, expand, expand_bias, contract, contract_bias)
    return result


def permute(x: Tensor, order: Tensor, back: Tensor, dim: int) -> Tensor:
    """Permute a tensor along an axis, with gradients.

    Args:
        x: The input.
        order: Place in the input of each place of the output.
        back: The opposite permutation, `order.argsort()`.
        dim: The axis.
    """
    if is_captured():
        return x.index_select(dim, order)
    result: Tensor = _Permutation.apply(x, order, back, dim)
    return result


class _RMSNorm(torch.autograd.Function):
    """`rms_norm`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor) -> Tensor:
        """Normalise."""
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_(min=_LEAST).reciprocal_()
        ctx.save_for_backward(x, gain, scale)
        result, gains = x.new_empty(x.shape), gain * x.shape[-1] ** 0.5
        for each, part, scales in _parts(result, x, scale):
            torch.mul(part, scales, out=each).mul_(gains)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of the input, without the part along it, and of the gains."""
        x, gain, scale = ctx.saved_tensors
        root = x.shape[-1] ** 0.5
        result, of_gain, gains = x.new_empty(x.shape), torch.zeros_like(gain), gain * root
        for each, part, given, scales in _parts(result, x, gradient, scale):
            unit = part * scales
            product = given * unit
            of_gain += product.sum(dim=0)
            # Shorter vectors are divided by a constant.
            along = (product @ gains)[:, None] * (scales < 1 / _LEAST)
            torch.mul(given, gains, out=each).addcmul_(unit, along, value=-1).mul_(scales)
        return result, of_gain * root


class _FeedForward(torch.autograd.Function):
    """`feed_forward`; the GELU is computed again for the gradients in place of being kept."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, expand: Tensor, expand_bias: Tensor, contract: Tensor, contract_bias: Tensor
    ) -> Tensor:
        """Map."""
        result, kept = x.new_empty(*x.shape[:-1], len(contract)), []
        for each, part in _parts(result, x):
            hidden = project(part, expand, expand_bias)
            each.copy_(project(gelu(hidden), contract, contract_bias))
            kept.append(hidden)
        ctx.save_for_backward(x, expand, contract, *kept)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        """Gradients of the input, the weights and the biases."""
        x, expand, contract, *kept = ctx.saved_tensors
        result = x.new_empty(x.shape)
        of_expand, of_contract = torch.zeros_like(expand), torch.zeros_like(contract)
        of_expand_bias, of_contract_bias = expand.new_zeros(len(expand)), contract.new_zeros(len(contract))
        for hidden, (each, part, given) in zip(kept, _parts(result, x, gradient), strict=True):
            of_contract.addmm_(given.mT, gelu(hidden))
            of_contract_bias += given.sum(dim=0)
            inner = project(given, contract.mT, None)
            torch.ops.aten.gelu_backward.grad_input(inner, hidden, grad_input=inner)
            of_expand.addmm_(inner.mT, part)
            of_expand_bias += inner.sum(dim=0)
            each.copy_(project(inner, expand.mT, None))
        return result, of_expand, of_expand_bias, of_contract, of_contract_bias


class _Permutation(torch.autograd.Function):
    """`permute`: the gradient is gathered, where that of `index_select` is added up place by place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor, dim: int) -> Tensor:
        """Permute."""
        ctx.save_for_backward(back)
        ctx.dim = dim
        return x.index_select(dim, order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Permute back."""
        (back,) = ctx.saved_tensors
        return gradient.index_select(ctx.dim, back), None, None, None


def _parts(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Rows `(tokens, features)` of several tensors `(..., features)`, some tokens after the other."""
    rows = [each.reshape(-1, each.shape[-1]) for each in tensors]
    return zip(*(each.split(_PART) for each in rows), strict=True)
