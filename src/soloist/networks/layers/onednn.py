"""What oneDNN, in which PyTorch computes on a CPU, can do beyond PyTorch's own functions.

These are the operations to which `torch.compile` translates a network. They have no gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from soloist.resources import is_captured


def has_onednn(x: Tensor) -> bool:
    """Whether the functions here can be used with a tensor: in single precision, without gradients."""
    here = x.is_cpu and x.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    return here and not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or is_captured())


def add_convolution(total: Tensor, x: Tensor, weight: Tensor, padding: Sequence[int]) -> None:
    """Add the convolution of `(batch, channels, height, width)` to what there is, as it is computed.

    Args:
        total: `(batch, out_channels, height, width)`; all three tensors are laid out channels-last.
        x: What is convolved.
        weight: `(out_channels, channels, height, width)`.
        padding: Zeros above and below, and at the left and at the right.
    """
    once = [1, 1]
    torch.ops.mkldnn._convolution_pointwise_(
        total, x, weight, None, padding, once, once, 1, "add", 1.0, None, [], None
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer `(..., inputs)` to `(..., outputs)`, whose bias costs no pass over the result."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result
