"""Gated linear unit of features that are stored channels-last."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from soloist.networks.layers.onednn import learns_on_cpu


def gate(x: Tensor) -> Tensor:
    """Gated linear unit over channels: the first half times the sigmoid of the second.

    PyTorch's own is slow channels-last, and computes the sigmoid a second time for the gradient.

    Args:
        x: `(batch, 2 * channels, height, width)`.

    Returns:
        `(batch, channels, height, width)`.
    """
    if not (learns_on_cpu(x) and x.is_contiguous(memory_format=torch.channels_last)):
        return F.glu(x, dim=1)
    gated: Tensor = _Gate.apply(x.permute(0, 2, 3, 1))
    return gated.permute(0, 3, 1, 2)


class _Gate(torch.autograd.Function):
    """Gated linear unit over the last axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        values, gates = x.chunk(2, dim=-1)
        openness = gates.sigmoid()
        output = values * openness
        ctx.save_for_backward(openness, output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        openness, output = ctx.saved_tensors
        size = output.shape[-1]
        result = output.new_empty(*output.shape[:-1], 2 * size)
        of_values, of_gates = result.chunk(2, dim=-1)
        torch.mul(gradient, openness, out=of_values)
        scaled = gradient * output
        torch.addcmul(scaled, scaled, openness, value=-1, out=of_gates)
        return result
