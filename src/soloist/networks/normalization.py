"""Normalisations that networks on one-dimensional features share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class GlobalNorm(nn.Module):
    """Normalises each item over all of its channels and frames; a gain and a shift for each channel.

    The "global layer norm" of Conv-TasNet (Luo and Mesgarani 2019, eq. 10-12), which is a group norm
    with a single group.

    Args:
        channels: Channels of the input `(batch, channels, frames)`.
        eps: Added to the (biased) variance.
        inplace: Whether the input may be overwritten where no gradients are wanted.
    """

    def __init__(self, channels: int, eps: float = 1e-8, inplace: bool = False) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.eps = eps
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, channels, frames)`; without gradients its layout in memory is kept."""
        if torch.is_grad_enabled() or x.dtype not in (torch.float32, torch.float64):
            return nn.functional.group_norm(x, 1, self.gain, self.shift, self.eps)
        return self._overwrite(x if self.inplace else x.clone())

    def _overwrite(self, x: Tensor) -> Tensor:
        # Fresh memory for a result costs more than the arithmetic.
        x.sub_(x.mean(dim=(1, 2), keepdim=True))
        gain = self.gain * torch.rsqrt(_power(x) + self.eps)[:, None]
        return torch.addcmul(self.shift[:, None], x, gain[:, :, None], out=x)


def _power(x: Tensor) -> Tensor:
    """Mean square `(batch,)` of `(batch, channels, frames)`.

    Summed over some hundred neighbours first, so that rounding errors do not add up.
    """
    channels, frames = x.shape[1:]
    neighbours = math.gcd(frames, -(-512 // channels)) * channels
    rows = x.transpose(1, 2).reshape(x.shape[0], -1, neighbours)
    return torch.linalg.vector_norm(rows, dim=2).square().mean(dim=1) / neighbours
