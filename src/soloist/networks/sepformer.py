"""SepFormer and RE-SepFormer: masks by transformers within segments of frames, and over the segments.

    SepFormer:     features - norm - bottleneck - segments - (intra - inter) x blocks - gated masks
    RE-SepFormer:  features - disjoint segments -+- transformer -+- ... - transformer - slope - masks
                                                 +- means - memory over segments -^

[1] C. Subakan, M. Ravanelli, S. Cornell, M. Bronzi and J. Zhong, "Attention is all you need in speech
    separation", ICASSP 2021.
[2] L. Della Libera, C. Subakan, M. Ravanelli, S. Cornell, F. Lepoutre and F. Grondin, "Resource-efficient
    separation transformer", ICASSP 2024.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.networks.layers.contracts import MaskNetwork
from soloist.networks.layers.convolutions import Activation, make_activation
from soloist.networks.layers.frames import FrameConv
from soloist.networks.layers.mask_head import MaskActivation, MaskHead
from soloist.networks.layers.normalization import GlobalNorm, NormScope, make_frame_norm
from soloist.networks.layers.segments import GatedMasks, SegmentGrid

_EPS = 1e-6


class EncoderLayer(nn.Module):
    """Self-attention and two linear layers, each added to its input.

    Args:
        channels: Channels of a step.
        heads: Number of heads.
        hidden_size: Features between the linear layers.
        norm_first: Normalise inputs; otherwise sums.
        activation: Activation between the linear layers.
    """

    def __init__(
        self, channels: int, heads: int, hidden_size: int, norm_first: bool, activation: Activation
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.attention_norm = nn.LayerNorm(channels, eps=_EPS)
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, hidden_size), make_activation(activation), nn.Linear(hidden_size, channels)
        )
        self.feed_forward_norm = nn.LayerNorm(channels, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences `(batch, steps, channels)` to the same shape."""
        if self.norm_first:
            x = x + self._attend(self.attention_norm(x))
            return x + self.feed_forward(self.feed_forward_norm(x))
        x = self.attention_norm(x + self._attend(x))
        return self.feed_forward_norm(x + self.feed_forward(x))

    def _attend(self, x: Tensor) -> Tensor:
        attended: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return attended


class SequenceTransformer(nn.Module):
    """Encoder layers on sequences of any length, with positions added to the input.

    Args:
        channels: Channels of a step, an even number with positions.
        layers: Number of layers.
        heads: Number of heads.
        hidden_size: Features between the linear layers.
        norm_first: Normalise inputs of attention and linear layers; otherwise their sums.
        positions: Add sinusoidal positions.
        activation: Activation between the linear layers.
    """

    def __init__(
        self,
        channels: int,
        layers: int = 8,
        heads: int = 8,
        hidden_size: int = 1024,
        norm_first: bool = True,
        positions: bool = True,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.positions = positions
        self.layers = nn.Sequential(
            *(EncoderLayer(channels, heads, hidden_size, norm_first, activation) for _ in range(layers))
        )
        self.norm = nn.LayerNorm(channels, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences `(batch, steps, channels)` to the same shape."""
        x = x + sinusoids(x.shape[1], x.shape[2]).to(x) if self.positions else x
        output: Tensor = self.norm(self.layers(x))
        return output


def sinusoids(steps: int, channels: int) -> Tensor:
    """Positions `(steps, channels)`: sines in even channels, cosines in odd ones, of falling frequencies."""
    frequencies = torch.exp(torch.arange(0, channels, 2) * (-math.log(10000.0) / channels))
    angles = torch.arange(steps)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


class SepFormerBlock(nn.Module):
    """Transformer within segments, and one over the segments at each of their positions.

    Args:
        channels: Channels of a frame.
        intra: Transformer within segments.
        inter: Transformer over segments.
        norm: Scope of the norms.
        linear: Put a linear layer behind each transformer.
        skip_intra: Add the input to the output within segments, as is always done over segments.
    """

    def __init__(
        self,
        channels: int,
        intra: SequenceTransformer,
        inter: SequenceTransformer,
        norm: NormScope,
        linear: bool,
        skip_intra: bool,
    ) -> None:
        super().__init__()
        self.intra, self.inter = intra, inter
        self.intra_linear, self.inter_linear = (
            nn.Linear(channels, channels) if linear else nn.Identity() for _ in range(2)
        )
        self.intra_norm, self.inter_norm = (make_frame_norm(norm, channels) for _ in range(2))
        self.skip_intra = skip_intra

    def forward(self, segments: Tensor) -> Tensor:
        """Map `(batch, segments, frames, channels)` to the same shape."""
        batch = segments.shape[0]
        rows = self.intra_linear(self.intra(rearrange(segments, "b s k c -> (b s) k c")))
        within = _normalize(rearrange(rows, "(b s) k c -> b s k c", b=batch), self.intra_norm)
        within = within + segments if self.skip_intra else within
        rows = self.inter_linear(self.inter(rearrange(within, "b s k c -> (b k) s c")))
        return within + _normalize(rearrange(rows, "(b k) s c -> b s k c", b=batch), self.inter_norm)


def _normalize(segments: Tensor, norm: nn.Module) -> Tensor:
    size = segments.shape[2]
    normalized = norm(rearrange(segments, "b s k c -> b c (s k)"))
    return rearrange(normalized, "b c (s k) -> b s k c", k=size)


class SepFormer(MaskNetwork):
    """Masks by pairs of transformers on overlapping segments of frames [1].

    Args:
        num_filters: Filters of the filterbank.
        channels: Channels between the blocks.
        num_blocks: Pairs of transformers.
        chunk_size: Frames of a segment, even; segments overlap by half.
        num_outputs: Channels of all sources.
        intra_layers: Layers of a transformer within segments.
        inter_layers: Layers of a transformer over segments.
        heads: Number of heads.
        hidden_size: Features between the linear layers of a transformer.
        norm_first: Normalise inputs of attention and linear layers; otherwise their sums.
        positions: Add sinusoidal positions.
        hidden_activation: Activation between the linear layers.
        norm: Scope of the norms outside of the transformers.
        linear: Put a linear layer behind each transformer.
        skip_intra: Add the input to the output within segments.
        activation: Activation of the masks.

    Raises:
        UsageError: The norm or an activation is unknown.
    """

    def __init__(
        self,
        num_filters: int = 256,
        channels: int = 256,
        num_blocks: int = 2,
        chunk_size: int = 250,
        num_outputs: int = 2,
        intra_layers: int = 8,
        inter_layers: int = 8,
        heads: int = 8,
        hidden_size: int = 1024,
        norm_first: bool = True,
        positions: bool = True,
        hidden_activation: Activation = "relu",
        norm: NormScope = "global",
        linear: bool = False,
        skip_intra: bool = True,
        activation: MaskActivation = "relu",
    ) -> None:
        super().__init__()
        self.grid = SegmentGrid(chunk_size, chunk_size // 2, whole=False)
        self.norm = make_frame_norm(norm, num_filters)
        self.bottleneck = FrameConv(num_filters, channels, 1, bias=False)

        def transformer(layers: int) -> SequenceTransformer:
            return SequenceTransformer(
                channels, layers, heads, hidden_size, norm_first, positions, hidden_activation
            )

        self.blocks = nn.Sequential(
            *(
                SepFormerBlock(
                    channels, transformer(intra_layers), transformer(inter_layers), norm, linear, skip_intra
                )
                for _ in range(num_blocks)
            )
        )
        self.masks = GatedMasks(self.grid, channels, num_filters, num_outputs, activation)

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, filters, frames)` to masks `(batch, outputs, filters, frames)`."""
        frames = self.bottleneck(self.norm(features)).transpose(1, 2)
        return self.masks(self.blocks(self.grid.split(frames)), features.shape[-1])


class NormalizedTransformer(nn.Module):
    """Transformer whose output is normalised over each sequence and added to the input.

    Args:
        transformer: The transformer.
        channels: Channels of a step.
        normalized: Normalise the output.
        skip: Add the input.
    """

    def __init__(
        self, transformer: SequenceTransformer, channels: int, *, normalized: bool = True, skip: bool = True
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.norm = GlobalNorm(channels, eps=torch.finfo(torch.float32).eps) if normalized else nn.Identity()
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences `(batch, steps, channels)` to the same shape."""
        output = self.norm(self.transformer(x).transpose(1, 2)).transpose(1, 2)
        return output + x if self.skip else output


class ResourceEfficientSepFormer(MaskNetwork):
    """Masks by transformers on disjoint segments, whose means attend to one another [2].

    Args:
        num_filters: Filters of the filterbank.
        num_stages: Transformers on segments; between two of them, one on the means.
        chunk_size: Frames of a segment.
        num_outputs: Channels of all sources.
        layers: Layers of a transformer on segments.
        memory_layers: Layers of a transformer on the means.
        heads: Number of heads.
        hidden_size: Features between the linear layers of a transformer.
        norm_first: Normalise inputs of attention and linear layers; otherwise their sums.
        positions: Add sinusoidal positions.
        normalized: Normalise the output of each transformer.
        skip: Add the input of each transformer.
        activation: Activation of the masks.

    Raises:
        UsageError: The activation is unknown.
    """

    def __init__(
        self,
        num_filters: int = 128,
        num_stages: int = 2,
        chunk_size: int = 150,
        num_outputs: int = 2,
        layers: int = 8,
        memory_layers: int = 8,
        heads: int = 8,
        hidden_size: int = 1024,
        norm_first: bool = True,
        positions: bool = True,
        normalized: bool = True,
        skip: bool = True,
        activation: MaskActivation = "relu",
    ) -> None:
        super().__init__()
        self.chunk_size = chunk_size

        def transformer(depth: int) -> NormalizedTransformer:
            inner = SequenceTransformer(num_filters, depth, heads, hidden_size, norm_first, positions)
            return NormalizedTransformer(inner, num_filters, normalized=normalized, skip=skip)

        self.stages = nn.ModuleList(transformer(layers) for _ in range(num_stages))
        self.memories = nn.ModuleList(transformer(memory_layers) for _ in range(num_stages - 1))
        self.slope = nn.PReLU()
        self.masks = MaskHead(num_filters, num_filters, num_outputs, activation)

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, filters, frames)` to masks `(batch, outputs, filters, frames)`."""
        batch, _, frames = features.shape
        # As published, at least one frame of zeros stands behind the others.
        padded = pad(features, (0, self.chunk_size - frames % self.chunk_size))
        x = rearrange(padded, "b c (s k) -> (b s) k c", k=self.chunk_size)
        for index, stage in enumerate(self.stages):
            if index:
                means = rearrange(x.mean(dim=1), "(b s) c -> b s c", b=batch)
                x = x + rearrange(self.remember(index - 1, means), "b s c -> (b s) 1 c")
            x = stage(x)
        whole = rearrange(x, "(b s) k c -> b c (s k)", b=batch)[..., :frames]
        return self.masks(self.slope(whole))

    def remember(self, stage: int, means: Tensor) -> Tensor:
        """Map the means of the segments `(batch, segments, channels)` by the memory behind a stage."""
        memory: Tensor = self.memories[stage](means)
        return memory
