"""Attentive SuDoRM-RF: attention from each resolution to the next coarser one, in place of a sum.

Published as code only: github.com/etzinis/sudo_rm_rf (third version of the attentive network).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.networks.layers.frames import FrameConv, Slope
from soloist.networks.layers.normalization import GlobalNorm
from soloist.networks.sudormrf.improved import ReluMaskNetwork, UBlock, normalized_levels


def sinusoidal_positions(frames: int, channels: int, like: Tensor) -> Tensor:
    """Positional code `(channels, frames)`: sines in even, cosines in odd channels.

    Vaswani et al., "Attention is all you need", 2017.

    Args:
        frames: Number of positions.
        channels: Number of channels, even or odd.
        like: Tensor with the type and device of the result.
    """
    pairs = torch.arange(0, channels, 2, device=like.device, dtype=torch.float32)
    rates = torch.exp(pairs * (-math.log(10000.0) / channels))
    angles = torch.arange(frames, device=like.device, dtype=torch.float32) * rates[:, None]
    code = rearrange([angles.sin(), angles.cos()], "two c t -> (c two) t")
    return code[:channels].to(like.dtype)


class AttentiveResampler(nn.Module):
    """Transformer layer with attention from a fine to a coarse resolution.

    Args:
        channels: Channels of both resolutions.
        num_heads: Attention heads.
        head_size: Channels of a head.
        dropout: Dropout probability of the coarse resolution.
    """

    def __init__(self, channels: int, num_heads: int, head_size: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(channels, num_heads * head_size)
        self.key = nn.Linear(channels, num_heads * head_size)
        self.value = nn.Linear(channels, num_heads * head_size)
        self.output = nn.Linear(num_heads * head_size, channels)
        self.attention_norm = GlobalNorm(channels)
        self.feedforward = nn.Sequential(FrameConv(channels, channels, 1), GlobalNorm(channels), Slope())
        self.output_norm = GlobalNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Map fine features `(batch, channels, frames)` to the same shape, given coarser ones."""
        code = sinusoidal_positions(coarse.shape[-1], coarse.shape[1], like=coarse)
        x = self.attention_norm(fine + self.attend(fine, self.dropout(coarse + code)))
        return self.output_norm(x + self.feedforward(x))

    def attend(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Multi-head attention from `(batch, channels, frames)` to `(batch, channels, fewer)`."""
        query = self._heads(self.query, fine)
        key, value = self._heads(self.key, coarse), self._heads(self.value, coarse)
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        return rearrange(self.output(rearrange(attended, "b h t d -> b t (h d)")), "b t c -> b c t")

    def _heads(self, project: nn.Linear, x: Tensor) -> Tensor:
        """Project `(batch, channels, frames)` to heads `(batch, heads, frames, head_size)`."""
        return rearrange(project(rearrange(x, "b c t -> b t c")), "b t (h d) -> b h t d", h=self.num_heads)


class AttentivePyramid(nn.Module):
    """Convolutions at halving resolutions, joined by attention from the coarsest to the finest.

    Args:
        levels: Modules on `(batch, channels, frames)` that keep the channels; all but the first halve the
            frames.
        resamplers: One for each pair of neighbouring resolutions, the coarsest first.
    """

    def __init__(self, levels: Sequence[nn.Module], resamplers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)
        self.resamplers = nn.ModuleList(resamplers)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames)` to the same shape, for any number of frames."""
        resolutions = []
        for level in self.levels:
            x = level(x)
            resolutions.append(x)
        coarse = resolutions.pop()
        for resampler in self.resamplers:
            coarse = resampler(resolutions.pop(), coarse)
        return coarse


class AttentiveSuDoRMRF(ReluMaskNetwork):
    """Improved network with attention between the resolutions.

    Memory and time grow with the square of the number of frames.

    Args:
        num_filters: Filters of the filterbank.
        channels: Channels between the blocks.
        hidden_channels: Channels inside the blocks.
        num_blocks: Number of blocks.
        depth: Resolutions in a block, each half of the one before.
        num_outputs: Channels of all sources.
        num_heads: Attention heads.
        head_size: Channels of a head.
        dropout: Dropout probability of the coarser resolutions.
    """

    def __init__(
        self,
        num_filters: int = 512,
        channels: int = 128,
        hidden_channels: int = 512,
        num_blocks: int = 16,
        depth: int = 4,
        num_outputs: int = 2,
        num_heads: int = 4,
        head_size: int = 256,
        dropout: float = 0.1,
    ) -> None:
        def pyramid() -> AttentivePyramid:
            levels = normalized_levels(hidden_channels, depth)
            resamplers = [
                AttentiveResampler(hidden_channels, num_heads, head_size, dropout) for _ in range(depth - 1)
            ]
            return AttentivePyramid(levels, resamplers)

        blocks = [UBlock(channels, hidden_channels, pyramid()) for _ in range(num_blocks)]
        super().__init__(blocks, num_filters, channels, num_outputs)
        self.frame_multiple = 2 ** (depth - 1)
