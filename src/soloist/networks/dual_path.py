"""The dual-path recurrent network: recurrences inside chunks of frames, and from chunk to chunk.

A sequence of many frames is cut into chunks about as long as there are then chunks, so that a recurrence
along either axis has few steps to make.

Luo, Chen and Yoshioka, "Dual-path RNN: Efficient long sequence modeling for time-domain single-channel
speech separation", ICASSP 2020.
"""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.networks.layers.contracts import MaskNetwork
from soloist.networks.layers.frames import FrameConv, Slope
from soloist.networks.layers.mask_head import MaskActivation, MaskHead
from soloist.networks.layers.normalization import CumulativeNorm, GlobalNorm
from soloist.networks.layers.recurrence import Cell, make_rnn


def split_chunks(frames: Tensor, chunk_size: int) -> Tensor:
    """Cut `(batch, frames, channels)` into chunks that overlap by half.

    Zeros before the first frame and after the last one let every frame stand in two chunks.

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
    """The inverse of `split_chunks`: each frame is the mean of its two versions.

    Args:
        chunks: `(batch, chunks, chunk_size, channels)`.
        count: Frames that were cut.

    Returns:
        `(batch, count, channels)`.
    """
    first, second = rearrange(chunks, "b s (part k) c -> part b s k c", part=2)
    frames = (first[:, 1:] + second[:, :-1]) / 2
    return rearrange(frames, "b s k c -> b (s k) c")[:, :count]


class Recurrence(nn.Module):
    """A recurrent stack, and a linear layer back to the channels that came in.

    Args:
        channels: Channels of input and output.
        hidden_size: Features of a step inside, for each direction.
        cell: "lstm" or "gru".
        layers: Recurrent layers.
        bidirectional: Whether a step depends on later ones too.
        dropout: Probability with which a feature between the layers is left out in training.
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
    ) -> None:
        super().__init__()
        self.rnn = make_rnn(
            cell, channels, hidden_size, layers=layers, bidirectional=bidirectional, dropout=dropout
        )
        self.linear = nn.Linear((1 + bidirectional) * hidden_size, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, rows, steps, channels)`, each row by itself."""
        batch = x.shape[0]
        features, _ = self.rnn(rearrange(x, "b r s c -> (b r) s c"))
        return rearrange(self.linear(features), "(b r) s c -> b r s c", b=batch)


class DualPathBlock(nn.Module):
    """A recurrence along the frames of each chunk, then one along the chunks for each of their frames.

    What either makes is normalised and added to what it saw.

    Args:
        channels: Channels of a frame.
        intra: The recurrence inside a chunk.
        inter: The recurrence from chunk to chunk.
        chunk_size: Frames of a chunk, where what a chunk makes is to be normalised over the chunks up to it;
            None to normalise over all chunks at once.
    """

    def __init__(
        self, channels: int, intra: Recurrence, inter: Recurrence, chunk_size: int | None = None
    ) -> None:
        super().__init__()
        self.intra = intra
        self.inter = inter
        self.intra_norm, self.inter_norm = (
            GlobalNorm(channels, inplace=True)
            if chunk_size is None
            else CumulativeNorm(channels, chunk_size, inplace=True)
            for _ in range(2)
        )

    def forward(self, chunks: Tensor) -> Tensor:
        """Map `(batch, chunks, frames, channels)`."""
        chunks = chunks + _normalize(self.intra(chunks), self.intra_norm)
        by_frame = rearrange(chunks, "b s k c -> b k s c")
        change = rearrange(self.inter(by_frame), "b k s c -> b s k c")
        return chunks + _normalize(change, self.inter_norm)


def _normalize(chunks: Tensor, norm: nn.Module) -> Tensor:
    size = chunks.shape[2]
    normalized = norm(rearrange(chunks, "b s k c -> b c (s k)"))
    return rearrange(normalized, "b c (s k) -> b s k c", k=size)


class DualPathRNN(MaskNetwork):
    """Masks by recurrences inside chunks of frames and from chunk to chunk.

    The published chunks have about `sqrt(2 * frames)` frames. A causal network's frame sees no later frame
    than the last of the two chunks that it stands in, which is less than `chunk_size` frames ahead.

    Args:
        num_filters: Filters of the filterbank.
        channels: Channels between the blocks.
        hidden_size: Features of a recurrent layer, for each direction.
        num_blocks: Number of blocks.
        chunk_size: Frames of a chunk, even.
        num_outputs: Channels of all sources.
        cell: "lstm" or "gru".
        layers: Recurrent layers along either axis of a block.
        dropout: Probability with which a feature between these layers is left out in training.
        causal: Whether chunks know nothing of later ones: the recurrence from chunk to chunk has one
            direction, and normalisations are over what was before.
        activation: What makes masks: "sigmoid", "relu", or "softmax" over the outputs.

    Raises:
        UsageError: The chunk size is odd, or there is no such cell or activation.
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
        """The rest of its chunks for a frame of a causal network; no bound otherwise."""
        return self.chunk_size - 1 if self.causal else None

    def forward(self, features: Tensor) -> Tensor:
        """Masks `(batch, outputs, filters, frames)` for features `(batch, filters, frames)`."""
        frames = self.bottleneck(self.norm(features)).transpose(1, 2)
        chunks = self.blocks(split_chunks(frames, self.chunk_size))
        frames = join_chunks(chunks, frames.shape[1]).transpose(1, 2)
        return self.masks(self.slope(frames))
