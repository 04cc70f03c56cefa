"""Stack of blocks: transformers along the frames and along the bands, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from soloist.errors import UsageError
from soloist.networks.layers.positions import PolarPositions, Positions, RotaryPositions
from soloist.networks.layers.transformer import (
    Attention,
    Axis,
    LinearAttention,
    Transformer,
)


@dataclass(frozen=True)
class RoFormerDesign:
    """Sizes of a stack of blocks.

    Attributes:
        dim: Features of a token.
        depth: Number of blocks.
        heads: Heads of each attention.
        head_dim: Features of a head.
        time_layers: Layers along the frames, in each block.
        frequency_layers: Layers along the bands, in each block.
        linear_layers: Layers of linear attention over all tokens, before them.
        skips: Add the outputs of all earlier blocks before the layers along the frames.
        polar: Positions are polar coordinates in place of rotations.
        dropout: Probability, in training.
        recompute: Compute each block a second time for its gradients in place of keeping what is in it: less
            memory in training, more time, the same gradients.
    """

    dim: int = 384
    depth: int = 6
    heads: int = 8
    head_dim: int = 64
    time_layers: int = 1
    frequency_layers: int = 1
    linear_layers: int = 0
    skips: bool = False
    polar: bool = False
    dropout: float = 0.0
    recompute: bool = False

    def __post_init__(self) -> None:
        if min(self.dim, self.depth, self.heads, self.time_layers, self.frequency_layers) < 1:
            raise UsageError("a RoFormer needs a size, blocks, heads, and layers along frames and bands")
        if self.head_dim < 2 or (self.head_dim % 2 and not self.polar):
            raise UsageError(f"rotations need an even number of features in a head, not {self.head_dim}")


class Block(nn.Module):
    """Transformers over all tokens (if any), along the frames and along the bands.

    Args:
        design: Sizes.
        norm: Normalise the output of each transformer.
    """

    def __init__(self, design: RoFormerDesign, norm: bool) -> None:
        super().__init__()
        self.linear = _linear(design, norm) if design.linear_layers else None
        self.time = _along("frames", design.time_layers, design, norm)
        self.frequency = _along("bands", design.frequency_layers, design, norm)

    def forward(
        self, tokens: Tensor, frames: Positions, bands: Positions, earlier: Tensor | None = None
    ) -> Tensor:
        """Map `(batch, frames, bands, dim)`; without gradients, the input may be overwritten.

        Args:
            tokens: The input.
            frames: Positions of the frames.
            bands: Positions of the bands.
            earlier: Sum of the outputs of earlier blocks, added before the layers along the frames.
        """
        if self.linear is not None:
            tokens = self.linear(tokens, frames)
        if earlier is not None:
            tokens = tokens + earlier
        return self.frequency(self.time(tokens, frames), bands)


class BlockStack(nn.Module):
    """Blocks one after the other, on tokens `(batch, frames, bands, dim)`.

    Args:
        design: Sizes.
        norm: Normalise the output of each transformer.
    """

    def __init__(self, design: RoFormerDesign, norm: bool) -> None:
        super().__init__()
        self.skips, self.recompute = design.skips, design.recompute
        positions = PolarPositions if design.polar else RotaryPositions
        self.frame_positions: Positions = positions(design.head_dim, design.heads)
        self.band_positions: Positions = positions(design.head_dim, design.heads)
        self.blocks = nn.ModuleList(Block(design, norm) for _ in range(design.depth))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `(batch, frames, bands, dim)`; without gradients, the input may be overwritten."""
        earlier: Tensor | None = None
        for block in self.blocks:
            tokens = self._run(block, tokens, earlier)
            if self.skips:
                earlier = tokens if earlier is None else earlier + tokens
        return tokens

    def _run(self, block: nn.Module, tokens: Tensor, earlier: Tensor | None) -> Tensor:
        inputs = (tokens, self.frame_positions, self.band_positions, earlier)
        if self.recompute and torch.is_grad_enabled():
            # Of the published ways, the one that also works where only weights ask for gradients.
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)


def _linear(design: RoFormerDesign, norm: bool) -> Transformer:
    attentions = [
        LinearAttention(design.dim, design.heads, design.head_dim, design.dropout)
        for _ in range(design.linear_layers)
    ]
    return Transformer(attentions, design.dim, None, norm, design.dropout)


def _along(axis: Axis, layers: int, design: RoFormerDesign, norm: bool) -> Transformer:
    attentions = [
        Attention(design.dim, design.heads, design.head_dim, axis, design.dropout) for _ in range(layers)
    ]
    return Transformer(attentions, design.dim, axis, norm, design.dropout)
