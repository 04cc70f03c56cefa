"""Transformers along the frames, the bands, or all tokens of `(batch, frames, bands, dim)`.

Lu et al.: Music source separation with band-split RoPE transformer. ICASSP 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from soloist.networks.layers.attention import attend
from soloist.networks.layers.onednn import add_into, has_onednn, learns_on_cpu, project
from soloist.networks.layers.positions import Positions
from soloist.networks.layers.token_gradients import feed_forward, rms_norm
from soloist.resources import is_captured

Axis = Literal["frames", "bands"]

_SEQUENCES = {
    "frames": "b t k (n h e) -> n (b k) h t e",
    "bands": "b t k (n h e) -> n (b t) h k e",
}
_TOKENS = {
    "frames": "(b k) h t e -> b t k h e",
    "bands": "(b t) h k e -> b t k h e",
}

_PART = 2048
"""Tokens that pass through a transformer at once on a processor: what they need stays in its caches."""


class RMSNorm(nn.Module):
    """Scale each vector to the length `sqrt(dim)`, with a gain for each feature (Zhang and Sennrich 2019)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(..., dim)`."""
        if learns_on_cpu(x):
            return rms_norm(x, self.gain)
        return normalize(x, dim=-1) * (self.gain * x.shape[-1] ** 0.5)


class Attention(nn.Module):
    """Multi-head self-attention along an axis, with positions and a gate for each head.

    Args:
        dim: Features of a token.
        heads: Number of heads.
        head_dim: Features of a head.
        axis: Axis of the sequences.
        dropout: Probability for attention weights and outputs.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, axis: Axis, dropout: float) -> None:
        super().__init__()
        self.heads, self.axis, self.dropout = heads, axis, dropout
        self.scale = head_dim**-0.5
        self.norm = RMSNorm(dim)
        self.qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.gates = nn.Linear(dim, heads)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor, positions: Positions) -> Tensor:
        """Attend within each sequence of `(batch, frames, bands, dim)`."""
        x = self.norm(x)
        query_key, value = project(x, self.qkv.weight, None).tensor_split([2 * self.out.in_features], dim=-1)
        query, key = rearrange(
            positions(query_key, 1 if self.axis == "frames" else 2), _SEQUENCES[self.axis], n=2, h=self.heads
        )
        value = rearrange(value, _SEQUENCES[self.axis], n=1, h=self.heads)[0]
        dropout = self.dropout if self.training else 0.0
        attended = attend(query, key, value, dropout=dropout, scale=self.scale)
        attended = rearrange(attended, _TOKENS[self.axis], b=x.shape[0])
        gates = self.gates(x).sigmoid()[..., None]
        attended = attended.mul_(gates) if has_onednn(x) else attended * gates
        attended = project(rearrange(attended, "b t k h e -> b t k (h e)"), self.out.weight, None)
        return nn.functional.dropout(attended, self.dropout, self.training)


class LinearAttention(nn.Module):
    """Attention between the features of each head, over all tokens (El-Nouby et al. 2021).

    Args:
        dim: Features of a token.
        heads: Number of heads.
        head_dim: Features of a head.
        dropout: Probability for attention weights.
    """

    _SCALE = 8.0

    def __init__(self, dim: int, heads: int, head_dim: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = RMSNorm(dim)
        self.qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor, positions: Positions) -> Tensor:
        """Mix the features of `(batch, frames, bands, dim)`; positions have no part in it."""
        qkv = self.qkv(self.norm(x))
        query, key, value = rearrange(qkv, "b t k (n h e) -> n b h e (t k)", n=3, h=self.heads)
        query = normalize(query, dim=-1) * self.temperature.exp()
        weights = (self._SCALE * query @ normalize(key, dim=-1).mT).softmax(dim=-1)
        weights = nn.functional.dropout(weights, self.dropout, self.training)
        return self.out(rearrange(weights @ value, "b h e (t k) -> b t k (h e)", t=x.shape[1]))


class FeedForward(nn.Module):
    """Two linear layers on each token, four times as wide between them."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = RMSNorm(dim)
        self.expand = nn.Linear(dim, 4 * dim)
        self.contract = nn.Linear(4 * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(..., dim)`."""
        x = self.norm(x)
        dropped = self.training and self.dropout.p > 0
        if learns_on_cpu(x) and not dropped:
            expand, contract = self.expand, self.contract
            return feed_forward(x, expand.weight, expand.bias, contract.weight, contract.bias)
        hidden = project(x, self.expand.weight, self.expand.bias)
        hidden = self.dropout(torch.ops.aten.gelu_(hidden) if has_onednn(hidden) else gelu(hidden))
        return self.dropout(project(hidden, self.contract.weight, self.contract.bias))


class RoFormerLayer(nn.Module):
    """Attention and feed-forward, each added to its input."""

    def __init__(self, attention: Attention | LinearAttention, dim: int, dropout: float) -> None:
        super().__init__()
        self.attention = attention
        self.feed_forward = FeedForward(dim, dropout)

    def forward(self, x: Tensor, positions: Positions) -> Tensor:
        """Map `(batch, frames, bands, dim)`."""
        x = add_into(self.attention(x, positions), x)
        return add_into(self.feed_forward(x), x)


class Transformer(nn.Module):
    """Layers along one axis.

    Without gradients, a processor maps a few sequences after the other, in place: memory and caches hold the
    queries, keys and wide layers of a few.

    Args:
        attentions: Attention of each layer.
        dim: Features of a token.
        axis: Axis of the sequences; None if all tokens are one sequence.
        norm: Normalise the output.
        dropout: Probability, in training.
    """

    def __init__(
        self,
        attentions: Sequence[Attention | LinearAttention],
        dim: int,
        axis: Axis | None,
        norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(RoFormerLayer(each, dim, dropout) for each in attentions)
        self.norm = RMSNorm(dim) if norm else nn.Identity()
        self.axis = axis

    def forward(self, x: Tensor, positions: Positions) -> Tensor:
        """Map `(batch, frames, bands, dim)`; without gradients, the input may be overwritten."""
        whole = torch.is_grad_enabled() or is_captured() or x.device.type != "cpu" or self.axis is None
        if whole:
            return self._map(x, positions)
        others, length = (2, x.shape[1]) if self.axis == "frames" else (1, x.shape[2])
        for part in x.split(max(1, _PART // (x.shape[0] * length)), dim=others):
            part.copy_(self._map(part, positions))
        return x

    def _map(self, x: Tensor, positions: Positions) -> Tensor:
        for layer in self.layers:
            x = layer(x, positions)
        return self.norm(x)
