"""Normalisations that networks on one-dimensional features share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GlobalNorm(nn.Module):
    """Normalises each item over all of its channels and frames; a gain and a shift for each channel.

    The "global layer norm" of Conv-TasNet (Luo and Mesgarani 2019, eq. 10-12). Computed as a group norm
    with a single group, which reads its input twice and writes it once.

    Args:
        channels: Channels of the input `(batch, channels, frames)`.
        eps: Added to the (biased) variance.
    """

    def __init__(self, channels: int, eps: float = 1e-8) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, channels, frames)`."""
        # As a row of frames, for which the layout in memory is kept; see `frames`.
        row = nn.functional.group_norm(x[:, :, None], 1, self.gain, self.shift, self.eps)
        return row[:, :, 0]
