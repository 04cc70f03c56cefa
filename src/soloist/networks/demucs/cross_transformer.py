"""Transformer over spectrogram and waveform at once, with attention inside each and across.

S. Rouard, F. Massa and A. Défossez, "Hybrid transformers for music source separation", ICASSP 2023.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.networks.layers.attention import attend
from soloist.networks.layers.onednn import has_onednn, linear, project


@dataclass(frozen=True)
class CrossTransformerDesign:
    """Sizes of the transformer.

    Attributes:
        channels: Channels of a token, if others than those of the deepest encoder stage; None for those.
        layers: Number of layers; 0 for no transformer.
        heads: Heads of the attention.
        hidden_scale: Hidden features of a feed-forward layer for each channel.
        dropout: Dropout probability.
        layer_scale: Learn a gain of each channel of each residual, from 1e-4.
        cross_first: Begin with a layer across, not with one inside.
        norm_in: Normalise the tokens before the first layer.
        norm_out: Normalise all tokens of an item at once after each layer.
        position_weight: Weight of the positional code.
        max_period: Longest period of the positional code, in tokens.
    """

    channels: int | None = 512
    layers: int = 5
    heads: int = 8
    hidden_scale: float = 4.0
    dropout: float = 0.0
    layer_scale: bool = True
    cross_first: bool = False
    norm_in: bool = True
    norm_out: bool = True
    position_weight: float = 1.0
    max_period: float = 10000.0


def time_positions(count: int, channels: int, max_period: float) -> Tensor:
    """Positional code of frames of a waveform, `(count, channels)`: all cosines, then all sines."""
    half = channels // 2
    periods = max_period ** (torch.arange(half) / (half - 1))
    phases = torch.arange(count)[:, None] / periods
    return torch.cat([phases.cos(), phases.sin()], dim=1)


def spectrogram_positions(frames: int, bins: int, channels: int, max_period: float) -> Tensor:
    """Positional code of a spectrogram, `(frames, bins, channels)`: half for the frame, half for the bin.

    Sines and cosines of a period alternate.
    """
    half = channels // 2
    rates = torch.exp(torch.arange(0, half, 2) * (-math.log(max_period) / half))

    def code(count: int) -> Tensor:
        phases = torch.arange(count)[:, None] * rates
        return torch.stack([phases.sin(), phases.cos()], dim=-1).flatten(1)

    of_frames = code(frames)[:, None].expand(-1, bins, -1)
    of_bins = code(bins)[None].expand(frames, -1, -1)
    return torch.cat([of_frames, of_bins], dim=-1)


class TokenNorm(nn.GroupNorm):
    """Norm of all tokens and channels of an item at once, with a gain and a shift for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, tokens, channels)`."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class TransformerLayer(nn.Module):
    """Attention inside a sequence or to another one, then a feed-forward layer, each added to its input.

    Args:
        channels: Channels of a token.
        design: Sizes.
        across: Attend to another sequence.
    """

    def __init__(self, channels: int, design: CrossTransformerDesign, across: bool) -> None:
        super().__init__()
        self.heads = design.heads
        self.dropout = design.dropout
        self.norm = nn.LayerNorm(channels)
        self.other_norm = nn.LayerNorm(channels) if across else None
        self.projection = nn.Linear(channels, 3 * channels)
        self.output = nn.Linear(channels, channels)
        self.dense_norm = nn.LayerNorm(channels)
        hidden = int(channels * design.hidden_scale)
        self.widen = nn.Linear(channels, hidden)
        self.narrow = nn.Linear(hidden, channels)
        self.gains = nn.Parameter(torch.full((2, channels), 1e-4)) if design.layer_scale else None
        self.norm_out = TokenNorm(channels) if design.norm_out else nn.Identity()

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Map tokens `(batch, tokens, channels)` to the same shape.

        Args:
            x: Tokens.
            other: Tokens `(batch, others, channels)` to attend to, for a layer across.
        """
        attention_gain, dense_gain = (None, None) if self.gains is None else self.gains
        x = self._add(x, self._attend(x, other), attention_gain)
        normalized = self.dense_norm(x)
        if has_onednn(x):
            hidden = linear(normalized, self.widen.weight, self.widen.bias, "gelu")
        else:
            hidden = self._drop(F.gelu(project(normalized, self.widen.weight, self.widen.bias)))
        x = self._add(x, project(hidden, self.narrow.weight, self.narrow.bias), dense_gain)
        output: Tensor = self.norm_out(x)
        return output

    def _add(self, x: Tensor, residual: Tensor, gain: Tensor | None) -> Tensor:
        residual = self._drop(residual)
        if gain is None:
            return x + residual
        return torch.addcmul(x, residual, gain)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

    def _attend(self, x: Tensor, other: Tensor | None) -> Tensor:
        x = self.norm(x)
        if self.other_norm is None:
            parts = project(x, self.projection.weight, self.projection.bias).chunk(3, dim=-1)
        else:
            weight, bias, channels = self.projection.weight, self.projection.bias, x.shape[-1]
            query = project(x, weight[:channels], bias[:channels])
            seen = project(self.other_norm(other), weight[channels:], bias[channels:])
            parts = query, *seen.chunk(2, dim=-1)
        query, key, value = (rearrange(part, "b n (h c) -> b h n c", h=self.heads) for part in parts)
        attended = attend(query, key, value, dropout=self.dropout if self.training else 0.0)
        return project(rearrange(attended, "b h n c -> b n (h c)"), self.output.weight, self.output.bias)


class CrossTransformer(nn.Module):
    """Layers on the tokens of a spectrogram and of a waveform, alternately inside each and across.

    Args:
        inputs: Channels of the spectrogram and of the waveform.
        design: Sizes.

    Raises:
        UsageError: The channels of a token are no multiple of 4, or of the heads.
    """

    def __init__(self, inputs: int, design: CrossTransformerDesign) -> None:
        super().__init__()
        channels = design.channels or inputs
        if channels % 4 or channels % design.heads:
            raise UsageError(
                f"{channels} channels of a token must be a multiple of 4 and of {design.heads} heads"
            )
        self.position_weight = design.position_weight
        self.max_period = design.max_period

        def project(sizes: tuple[int, int]) -> nn.Module:
            return nn.Linear(*sizes) if design.channels else nn.Identity()

        self.widen, self.widen_time = (project((inputs, channels)) for _ in range(2))
        self.narrow, self.narrow_time = (project((channels, inputs)) for _ in range(2))
        self.norm, self.norm_time = (
            nn.LayerNorm(channels) if design.norm_in else nn.Identity() for _ in range(2)
        )
        across = [index % 2 != int(design.cross_first) for index in range(design.layers)]
        self.layers, self.time_layers = (
            nn.ModuleList(TransformerLayer(channels, design, each) for each in across) for _ in range(2)
        )

    def forward(self, spectrogram: Tensor, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Map both to the same shapes.

        Args:
            spectrogram: `(batch, channels, frequency, frames)`.
            waveform: `(batch, channels, 1, frames)`.
        """
        bins, frames = spectrogram.shape[2:]
        x = self.norm(self.widen(rearrange(spectrogram, "b c f t -> b (t f) c")))
        xt = self.norm_time(self.widen_time(rearrange(waveform, "b c 1 t -> b t c")))
        channels = x.shape[-1]
        code = spectrogram_positions(frames, bins, channels, self.max_period).flatten(0, 1)
        time_code = time_positions(xt.shape[1], channels, self.max_period)
        x = x + self.position_weight * code.to(x)
        xt = xt + self.position_weight * time_code.to(xt)
        for layer, time_layer in zip(self.layers, self.time_layers, strict=True):
            across = layer.other_norm is not None
            x, xt = (layer(x, xt), time_layer(xt, x)) if across else (layer(x), time_layer(xt))
        x, xt = self.narrow(x), self.narrow_time(xt)
        return rearrange(x, "b (t f) c -> b c f t", f=bins), rearrange(xt, "b t c -> b c 1 t")
