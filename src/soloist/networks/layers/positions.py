"""Positions within a sequence, as angles of the features of queries and keys."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import softplus

from soloist.networks.layers.onednn import has_onednn
from soloist.resources import is_captured

_BASE = 10000.0


class RotaryPositions(nn.Module):
    """Rotate pairs of neighbouring features by angles that grow with the position (Su et al. 2021).

    Args:
        head_dim: Features of a head, an even number.
        heads: Number of heads.
    """

    def __init__(self, head_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.register_buffer("frequencies", _BASE ** -(torch.arange(0, head_dim, 2) / head_dim))

    frequencies: Tensor

    def forward(self, query_key: Tensor, axis: int) -> Tensor:
        """Rotate queries and keys; without gradients, the input may be overwritten.

        Args:
            query_key: `(batch, frames, bands, 2 * heads * head_dim)`.
            axis: Axis of the positions.
        """
        angles = _angles(self.frequencies, query_key, axis)
        pairs = rearrange(query_key, "b t k (n e two) -> b t k n e two", e=len(self.frequencies), two=2)
        if is_captured():
            real, imaginary = pairs.unbind(-1)
            cos, sin = angles.cos().to(pairs.dtype), angles.sin().to(pairs.dtype)
            turned = torch.stack([real * cos - imaginary * sin, imaginary * cos + real * sin], dim=-1)
        else:
            # A complex product passes through memory once. There are no complex numbers of 16 bits.
            turn = torch.polar(torch.ones_like(angles), angles)
            points = torch.view_as_complex(pairs if pairs.dtype.itemsize > 2 else pairs.float())
            turned = torch.view_as_real(points.mul_(turn) if has_onednn(pairs) else points * turn)
        return turned.flatten(-3).to(query_key.dtype)


class PolarPositions(nn.Module):
    """Turn each feature into a point: its size is the radius, and its position the angle.

    Gopalakrishnan et al.: Decoupling the "what" and "where" with polar coordinate positional embeddings.
    2025.

    Args:
        head_dim: Features of a head.
        heads: Number of heads.
    """

    def __init__(self, head_dim: int, heads: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", _BASE ** -(torch.arange(head_dim) / head_dim))
        self.bias = nn.Parameter(torch.zeros(heads, head_dim))

    frequencies: Tensor

    def forward(self, query_key: Tensor, axis: int) -> Tensor:
        """Map queries and keys `(batch, frames, bands, 2 * heads * head_dim)` to twice as many features."""
        angles = _angles(self.frequencies, query_key, axis)
        heads, features = self.bias.shape
        radii = softplus(rearrange(query_key, "b t k (n h e) -> b t k n h e", h=heads, e=features))
        # Keys alone are turned by the bias.
        shift = self.bias.clamp(-2 * math.pi, 0.0)
        angles = angles[..., None, :] + torch.stack([torch.zeros_like(shift), shift])
        return torch.stack([radii * angles.cos(), radii * angles.sin()], dim=-1).flatten(-4)


Positions = RotaryPositions | PolarPositions


def _angles(frequencies: Tensor, tokens: Tensor, axis: int) -> Tensor:
    """Angles of the positions along an axis of `(batch, frames, bands, features)`: `(..., 1, angles)`."""
    positions = torch.arange(tokens.shape[axis], device=tokens.device, dtype=frequencies.dtype)
    return (positions[:, None] * frequencies).reshape(
        *(-1 if place == axis else 1 for place in range(3)), 1, len(frequencies)
    )
