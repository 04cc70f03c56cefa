"""Dual-path RNN: masks by recurrences inside chunks of frames, and from chunk to chunk.

    features - norm - bottleneck - split into chunks - block - ... - block - join - slope - masks
    block: + norm(intra-chunk recurrence), then + norm(inter-chunk recurrence)

A long sequence is cut into chunks about as long as their number, so that both recurrences take few steps.

Luo, Chen and Yoshioka, "Dual-path RNN: Efficient long sequence modeling for time-domain single-channel
speech separation", ICASSP 2020.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.networks.layers.contracts import MaskNetwork
from soloist.networks.layers.frames import FrameConv, Slope
from soloist.networks.layers.mask_head import MaskActivation, MaskHead
from soloist.networks.layers.normalization import CumulativeNorm, FrameNorm, GlobalNorm
from soloist.networks.layers.recurrence import Cell, make_rnn
from soloist.networks.layers.segments import GatedMasks, SegmentGrid


def split_chunks(frames: Tensor, chunk_size: int) -> Tensor:
    """Cut `(batch, frames, channels)` into chunks that overlap by half.

    Zeros before the first frame and after the last one put every frame into two chunks.

    Args:
        frames: `(batch, frames, channels)`.
        chunk_size: Frames of a chunk, even.

    Returns:
        `(batch, chunks, chunk_size, channels)`.
    """
    half = chunk_size // 2
    count = frames.shape[1]
    padded = pad(frames, (0, 0, half, half + -count % half))
    halves = rearrange(padded, "b (s k) c -> b s k c", k=half)
    return rearrange([halves[:, :-1], halves[:, 1:]], "part b s k c -> b s (part k) c")


def join_chunks(chunks: Tensor, count: int) -> Tensor:
    """Invert `split_chunks`, averaging the two versions of each frame.

    Args:
        chunks: `(batch, chunks, chunk_size, channels)`.
        count: Number of frames before the split.

    Returns:
        `(batch, count, channels)`.
    """
    first, second = rearrange(chunks, "b s (part k) c -> part b s k c", part=2)
    frames = (first[:, 1:] + second[:, :-1]) / 2
    return rearrange(frames, "b s k c -> b (s k) c")[:, :count]


class Recurrence(nn.Module):
    """Recurrent stack with a linear layer back to the channels of the input.

    Args:
        channels: Channels of input and output.
        hidden_size: Recurrent features, for each direction.
        cell: "lstm" or "gru".
        layers: Recurrent layers.
        bidirectional: Run in both directions.
        dropout: Dropout probability between the layers.
        multiplied: Take the product of two such stacks, and the input beside it.
    """

    def __init__(
        self,
        channels: int,
        hidden_size: int = 128,
        *,
        cell: Cell = "lstm",
        layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        multiplied: bool = False,
    ) -> None:
        super().__init__()
        sizes = (cell, channels, hidden_size)
        self.rnn = make_rnn(*sizes, layers=layers, bidirectional=bidirectional, dropout=dropout)
        self.factor = None
        features = (1 + bidirectional) * hidden_size
        if multiplied:
            self.factor = make_rnn(*sizes, layers=layers, bidirectional=bidirectional, dropout=dropout)
            features += channels
        self.linear = nn.Linear(features, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, rows, steps, channels)` to the same shape, each row on its own."""
        batch = x.shape[0]
        rows = rearrange(x, "b r s c -> (b r) s c")
        features, _ = self.rnn(rows)
        if self.factor is not None:
            features = torch.cat([features * self.factor(rows)[0], rows], dim=-1)
        return rearrange(self.linear(features), "(b r) s c -> b r s c", b=batch)


class DualPathBlock(nn.Module):
    """Recurrence along the frames of each chunk, then along the chunks at each position.

    The output of either recurrence is normalised and added to its input.

    Args:
        channels: Channels of a frame.
        intra: Recurrence inside a chunk.
        inter: Recurrence from chunk to chunk.
        chunk_size: Frames of a chunk, to normalise each chunk over the chunks so far. If None, normalise over
            all chunks.
        by_frame: Normalise each frame by itself.
    """

    def __init__(
        self,
        channels: int,
        intra: Recurrence,
        inter: Recurrence,
        chunk_size: int | None = None,
        *,
        by_frame: bool = False,
    ) -> None:
        super().__init__()
        self.intra = intra
        self.inter = inter
        self.intra_norm, self.inter_norm = (
            FrameNorm(channels)
            if by_frame
            else GlobalNorm(channels, inplace=True)
            if chunk_size is None
            else CumulativeNorm(channels, chunk_size, inplace=True)
            for _ in range(2)
        )

    def forward(self, chunks: Tensor) -> Tensor:
        """Map `(batch, chunks, frames, channels)` to the same shape."""
        chunks = chunks + _normalize(self.intra(chunks), self.intra_norm)
        by_frame = rearrange(chunks, "b s k c -> b k s c")
        residual = rearrange(self.inter(by_frame), "b k s c -> b s k c")
        return chunks + _normalize(residual, self.inter_norm)


def _normalize(chunks: Tensor, norm: nn.Module) -> Tensor:
    """Apply a norm on `(batch, channels, frames)` to chunks `(batch, chunks, frames, channels)`."""
    size = chunks.shape[2]
    normalized = norm(rearrange(chunks, "b s k c -> b c (s k)"))
    return rearrange(normalized, "b c (s k) -> b s k c", k=size)


class DualPathRNN(MaskNetwork):
    """Masks by recurrences inside chunks of frames and from chunk to chunk.

    The published chunks have about `sqrt(2 * frames)` frames. A causal network looks ahead to the end of the
    later of the two chunks of a frame: less than `chunk_size` frames.

    Args:
        num_filters: Filters of the filterbank.
        channels: Channels between the blocks.
        hidden_size: Features of a recurrent layer, for each direction.
        num_blocks: Number of blocks.
        chunk_size: Frames of a chunk, even.
        num_outputs: Channels of all sources.
        cell: "lstm" or "gru".
        layers: Recurrent layers along either axis of a block.
        dropout: Dropout probability between the recurrent layers.
        causal: Look at no later chunk: the recurrence from chunk to chunk has one direction, and
            normalisations are cumulative.
        activation: Activation of the masks: "sigmoid", "relu", or "softmax" over the outputs.

    Raises:
        UsageError: The chunk size is odd, or the cell or the activation is unknown.
    """

    def __init__(
        self,
        num_filters: int = 64,
        channels: int = 64,
        hidden_size: int = 128,
        num_blocks: int = 6,
        chunk_size: int = 250,
        num_outputs: int = 2,
        cell: Cell = "lstm",
        layers: int = 1,
        dropout: float = 0.0,
        causal: bool = False,
        activation: MaskActivation = "sigmoid",
    ) -> None:
        super().__init__()
        if chunk_size < 2 or chunk_size % 2:
            raise UsageError(f"chunk_size {chunk_size} must be even: chunks overlap by half")
        self.chunk_size = chunk_size
        self.causal = causal
        self.norm = CumulativeNorm(num_filters) if causal else GlobalNorm(num_filters)
        self.bottleneck = FrameConv(num_filters, channels, 1)

        def recurrence(bidirectional: bool) -> Recurrence:
            return Recurrence(
                channels, hidden_size, cell=cell, layers=layers, bidirectional=bidirectional, dropout=dropout
            )

        self.blocks = nn.Sequential(
            *(
                DualPathBlock(
                    channels, recurrence(True), recurrence(not causal), chunk_size if causal else None
                )
                for _ in range(num_blocks)
            )
        )
        self.slope = Slope()
        self.masks = MaskHead(channels, num_filters, num_outputs, activation)

    @property
    def lookahead(self) -> int | None:
        """Frames of look-ahead: the rest of a chunk if causal; None (unbounded) otherwise."""
        return self.chunk_size - 1 if self.causal else None

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, filters, frames)` to masks `(batch, outputs, filters, frames)`."""
        frames = self.bottleneck(self.norm(features)).transpose(1, 2)
        chunks = self.blocks(split_chunks(frames, self.chunk_size))
        frames = join_chunks(chunks, frames.shape[1]).transpose(1, 2)
        return self.masks(self.slope(frames))


class GatedDualPathRNN(MaskNetwork):
    """Dual-path RNN with a gate for the masks of each source, as most published weights have it.

        features - norm - bottleneck - segments - block - ... - block - gated masks

    Unlike in `DualPathRNN`, a whole segment of zeros lies before and behind the frames, the hop is any, and
    overlapping segments are added up.

    Args:
        num_filters: Filters of the filterbank.
        channels: Channels between the blocks.
        hidden_size: Features of a recurrent layer, for each direction.
        num_blocks: Number of blocks.
        chunk_size: Frames of a segment.
        hop_size: Distance of the segments, frames; None for half a segment.
        num_outputs: Channels of all sources.
        cell: "lstm" or "gru".
        layers: Recurrent layers along either axis of a block.
        dropout: Dropout probability between the recurrent layers.
        bidirectional: Run in both directions from segment to segment; within a segment, always.
        by_frame: Normalise each frame by itself, instead of all frames together.
        multiplied: Take products of two recurrent stacks each.
        activation: Activation of the masks: "sigmoid", "relu", or "softmax" over the outputs.

    Raises:
        UsageError: The cell is unknown.
    """

    def __init__(
        self,
        num_filters: int = 64,
        channels: int = 128,
        hidden_size: int = 128,
        num_blocks: int = 6,
        chunk_size: int = 100,
        hop_size: int | None = None,
        num_outputs: int = 2,
        cell: Cell = "lstm",
        layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = True,
        by_frame: bool = False,
        multiplied: bool = False,
        activation: MaskActivation = "sigmoid",
    ) -> None:
        super().__init__()
        self.grid = SegmentGrid(chunk_size, hop_size or chunk_size // 2)
        self.norm = FrameNorm(num_filters) if by_frame else GlobalNorm(num_filters)
        self.bottleneck = FrameConv(num_filters, channels, 1)

        def recurrence(bidirectional: bool) -> Recurrence:
            return Recurrence(
                channels,
                hidden_size,
                cell=cell,
                layers=layers,
                bidirectional=bidirectional,
                dropout=dropout,
                multiplied=multiplied,
            )

        self.blocks = nn.Sequential(
            *(
                DualPathBlock(channels, recurrence(True), recurrence(bidirectional), by_frame=by_frame)
                for _ in range(num_blocks)
            )
        )
        self.masks = GatedMasks(self.grid, channels, num_filters, num_outputs, activation)

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, filters, frames)` to masks `(batch, outputs, filters, frames)`."""
        frames = self.bottleneck(self.norm(features)).transpose(1, 2)
        return self.masks(self.blocks(self.grid.split(frames)), features.shape[-1])
