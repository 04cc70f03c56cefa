"""DPTNet: dual-path network whose layers attend, and then run an LSTM in place of a feed-forward layer.

    features - norm - segments - (layer in segments - layer over segments) x repeats - gated masks
    layer: norm(x + attention(x)), then norm(y + linear(activation(LSTM(y))))

J. Chen, Q. Mao and D. Liu, "Dual-path transformer network: Direct context-aware modeling for end-to-end
monaural speech separation", Interspeech 2020.
"""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from soloist.networks.layers.contracts import MaskNetwork
from soloist.networks.layers.convolutions import Activation, make_activation
from soloist.networks.layers.mask_head import MaskActivation
from soloist.networks.layers.normalization import NormScope, make_frame_norm
from soloist.networks.layers.segments import GatedMasks, SegmentGrid


class AttentiveRecurrence(nn.Module):
    """Self-attention, and an LSTM with a linear layer, each added to its input and normalised.

    Args:
        channels: Channels of a step; a multiple of the heads.
        heads: Number of heads.
        hidden_size: Features of the LSTM, for each direction.
        bidirectional: Run the LSTM in both directions.
        norm: Scope of the norms within a sequence.
        activation: Activation behind the LSTM.
        dropout: Dropout probability, in training.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        hidden_size: int,
        bidirectional: bool,
        norm: NormScope,
        activation: Activation,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, heads, dropout=dropout, batch_first=True)
        self.attention_norm = make_frame_norm(norm, channels)
        self.rnn = nn.LSTM(channels, hidden_size, batch_first=True, bidirectional=bidirectional)
        self.activation = make_activation(activation)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear((1 + bidirectional) * hidden_size, channels)
        self.output_norm = make_frame_norm(norm, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map sequences `(batch, steps, channels)` to the same shape."""
        attended, _ = self.attention(x, x, x, need_weights=False)
        x = self.attention_norm((x + self.dropout(attended)).transpose(1, 2)).transpose(1, 2)
        recurrent = self.linear(self.dropout(self.activation(self.rnn(x)[0])))
        return self.output_norm((x + self.dropout(recurrent)).transpose(1, 2)).transpose(1, 2)


class DPTNet(MaskNetwork):
    """Masks by attention and recurrence within segments of frames, and from segment to segment.

    Each sequence within a segment, or from segment to segment, is normalised by itself.

    Args:
        num_filters: Filters of the filterbank; widened to a multiple of the heads by a linear layer.
        heads: Number of heads.
        hidden_size: Features of an LSTM, for each direction.
        num_blocks: Pairs of layers.
        chunk_size: Frames of a segment.
        hop_size: Distance of the segments, frames; None for half a segment.
        num_outputs: Channels of all sources.
        bidirectional: Run LSTMs in both directions from segment to segment; within a segment, always.
        norm: Scope of the norms: "global" or "frame".
        hidden_activation: Activation behind an LSTM.
        dropout: Dropout probability, in training.
        activation: Activation of the masks: "sigmoid", "relu", or "softmax" over the outputs.

    Raises:
        UsageError: The norm or an activation is unknown.
    """

    def __init__(
        self,
        num_filters: int = 64,
        heads: int = 4,
        hidden_size: int = 256,
        num_blocks: int = 6,
        chunk_size: int = 100,
        hop_size: int | None = None,
        num_outputs: int = 2,
        bidirectional: bool = True,
        norm: NormScope = "global",
        hidden_activation: Activation = "relu",
        dropout: float = 0.0,
        activation: MaskActivation = "relu",
    ) -> None:
        super().__init__()
        channels = -(-num_filters // heads) * heads
        self.grid = SegmentGrid(chunk_size, hop_size or chunk_size // 2)
        self.widen = nn.Linear(num_filters, channels) if channels != num_filters else nn.Identity()
        self.norm = make_frame_norm(norm, channels)

        def layers(bidirectional: bool) -> nn.ModuleList:
            sizes = (channels, heads, hidden_size, bidirectional, norm, hidden_activation, dropout)
            return nn.ModuleList(AttentiveRecurrence(*sizes) for _ in range(num_blocks))

        self.intra = layers(True)
        self.inter = layers(bidirectional)
        self.masks = GatedMasks(self.grid, channels, num_filters, num_outputs, activation, direct=True)

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, filters, frames)` to masks `(batch, outputs, filters, frames)`."""
        batch, _, count = features.shape
        x = self.norm(self.widen(features.transpose(1, 2)).transpose(1, 2)).transpose(1, 2)
        x = self.grid.split(x)
        for intra, inter in zip(self.intra, self.inter, strict=True):
            x = rearrange(intra(rearrange(x, "b s k c -> (b s) k c")), "(b s) k c -> (b k) s c", b=batch)
            x = rearrange(inter(x), "(b k) s c -> b s k c", b=batch)
        return self.masks(x, count)
