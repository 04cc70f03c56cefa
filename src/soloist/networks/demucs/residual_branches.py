"""Residual branches of Demucs: dilated bottlenecks, with an LSTM and local attention where asked for.

A. Défossez, "Hybrid spectrogram and waveform source separation", MDX workshop at ISMIR, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.networks.demucs.branch_arithmetic import TILE, BranchGates, convolve_rows
from soloist.networks.layers.frames import FrameConv
from soloist.networks.layers.onednn import has_onednn, learns_on_cpu

_PIECE, _STEP = 200, 100
"""Frames of a piece of a long sequence, and the distance of the pieces."""


@dataclass(frozen=True)
class BranchDesign:
    """Residual branches of a layer.

    Attributes:
        depth: Number of branches, whose dilations are 1, 2, 4, ...; negative for as many without dilation.
        compression: Channels of the layer for each hidden channel.
        initial_scale: Gain of the branches at the beginning of a training.
        lstm_from: Index of the first layer with an LSTM in each branch; None for no LSTM.
        attention_from: Index of the first layer with local attention in each branch; None for no attention.
    """

    depth: int = 2
    compression: int = 4
    initial_scale: float = 1e-3
    lstm_from: int | None = None
    attention_from: int | None = None

    def make(self, channels: int, layer: int) -> ResidualBranches:
        """Make the branches of a layer.

        Args:
            channels: Channels of the layer.
            layer: Index of the layer.

        Raises:
            UsageError: No hidden channel is left.
        """
        hidden = int(channels / self.compression)
        if hidden < 1:
            raise UsageError(
                f"{channels} channels are too few for branches with a {self.compression:g}th of them: "
                "take more channels, or less compression"
            )
        return ResidualBranches(
            ResidualBranch(
                channels,
                hidden,
                dilation=2**number if self.depth > 0 else 1,
                initial_scale=self.initial_scale,
                lstm=self.lstm_from is not None and layer >= self.lstm_from,
                attention=self.attention_from is not None and layer >= self.attention_from,
            )
            for number in range(abs(self.depth))
        )


class FramedLSTM(nn.Module):
    """Bidirectional LSTM of two layers with a linear layer, added to its input.

    Sequences longer than 200 frames are cut into pieces that overlap by half, and the middles of the results
    are joined.

    Args:
        channels: Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, num_layers=2, bidirectional=True, batch_first=True)
        self.linear = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames)` to the same shape."""
        frames = x.transpose(1, 2)
        count = frames.shape[1]
        if count <= _PIECE:
            return x + self._recur(frames).transpose(1, 2)
        pieces = -(-count // _STEP)
        padded = F.pad(frames, (0, 0, 0, (pieces - 1) * _STEP + _PIECE - count))
        cut = rearrange(padded.unfold(1, _PIECE, _STEP), "b n c t -> (b n) t c")
        results = rearrange(self._recur(cut), "(b n) t c -> b n t c", n=pieces)
        border = (_PIECE - _STEP) // 2
        middles = results[:, :, border:-border].flatten(1, 2)
        joined = torch.cat([results[:, 0, :border], middles, results[:, -1, -border:]], dim=1)
        return x + joined[:, :count].transpose(1, 2)

    def _recur(self, frames: Tensor) -> Tensor:
        """Recurrence and linear layer on `(batch, frames, channels)`."""
        features, _ = self.lstm(frames)
        output: Tensor = self.linear(features)
        return output


class LocalAttention(nn.Module):
    """Attention over frames with learned penalties on distance, added to its input.

    Args:
        channels: Channels of input and output, a multiple of the heads.
        heads: Number of heads.
        decays: Penalties of a head; the `j`th is proportional to `j` times the distance.

    Raises:
        UsageError: The channels are no multiple of the heads.
    """

    def __init__(self, channels: int, heads: int = 4, decays: int = 4) -> None:
        super().__init__()
        if channels % heads:
            raise UsageError(f"{channels} hidden channels are no multiple of {heads} heads of attention")
        self.heads = heads
        self.content = FrameConv(channels, channels, 1)
        self.query = FrameConv(channels, channels, 1)
        self.key = FrameConv(channels, channels, 1)
        self.query_decay = FrameConv(channels, heads * decays, 1)
        self.proj = FrameConv(channels, channels, 1)
        assert self.query_decay.bias is not None
        with torch.no_grad():
            # A view of nearly all frames at the beginning.
            self.query_decay.weight.mul_(0.01)
            self.query_decay.bias.fill_(-2.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames)` to the same shape."""
        content, query, key = (
            rearrange(layer(x), "b (h c) t -> b h t c", h=self.heads)
            for layer in (self.content, self.query, self.key)
        )
        attended = F.scaled_dot_product_attention(query, key, content, self._bias(x, query, key))
        return x + self.proj(rearrange(attended, "b h t c -> b (h c) t"))

    def _bias(self, x: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Penalties `(batch, heads, queries, keys)`; a frame scores -100 with itself, whatever it holds."""
        decays = rearrange(self.query_decay(x).sigmoid(), "b (h d) t -> b h t d", h=self.heads)
        count = decays.shape[-1]
        steps = torch.arange(1, count + 1, device=x.device, dtype=x.dtype)
        slopes = (decays * steps).sum(dim=-1) / (2 * count**0.5)
        times = torch.arange(x.shape[-1], device=x.device)
        distances = (times[:, None] - times).abs()
        itself = -100 - (query * key).sum(dim=-1, keepdim=True) / query.shape[-1] ** 0.5
        return torch.where(distances == 0, itself, -slopes[..., None] * distances)


class ResidualBranch(nn.Module):
    """Bottleneck on each row: dilated convolution, LSTM and attention if asked for, gates.

    Args:
        channels: Channels of input and output.
        hidden: Channels of the bottleneck.
        dilation: Dilation of the convolution, frames.
        initial_scale: Gain of each output channel at the beginning of a training.
        lstm: Add an LSTM.
        attention: Add local attention.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        *,
        dilation: int,
        initial_scale: float,
        lstm: bool,
        attention: bool,
    ) -> None:
        super().__init__()
        self.conv = FrameConv(channels, hidden, 3, dilation=dilation, padding=dilation)
        self.norm = nn.GroupNorm(1, hidden)
        self.lstm = FramedLSTM(hidden) if lstm else None
        self.attention = LocalAttention(hidden) if attention else None
        self.gates = FrameConv(hidden, 2 * channels, 1)
        self.gates_norm = nn.GroupNorm(1, 2 * channels)
        self.scale = nn.Parameter(torch.full((channels,), initial_scale))

    def add_to(self, rows: Tensor) -> Tensor:
        """Sum of rows `(rows, frames, channels)` and the output of `forward`; in place without gradients."""
        hidden = convolve_rows(rows, self.conv.weight, self._bias(self.conv), self.conv.dilation[0])
        hidden = self._refine(hidden)
        weight, bias, norm = self.gates.weight[:, :, 0], self._bias(self.gates), self.gates_norm
        gates = BranchGates(weight, bias, norm.weight, norm.bias, self.scale, norm.eps)
        if torch.is_grad_enabled():
            return gates.add(rows, hidden)
        gates.add_in_place(rows, hidden)
        return rows

    def forward(self, x: Tensor) -> Tensor:
        """Map rows `(rows, channels, frames)` to what is added to them."""
        hidden = self._refine(self.conv(x))
        return F.glu(self.gates_norm(self.gates(hidden)), dim=1) * self.scale[:, None]

    def _refine(self, hidden: Tensor) -> Tensor:
        """Norm, GELU, LSTM and attention of hidden features `(rows, hidden, frames)`."""
        hidden = F.gelu(self.norm(hidden))
        for layer in (self.lstm, self.attention):
            hidden = hidden if layer is None else layer(hidden)
        return hidden

    @staticmethod
    def _bias(conv: FrameConv) -> Tensor:
        assert conv.bias is not None
        return conv.bias


class ResidualBranches(nn.ModuleList):
    """Branches one after the other, each added to its input, on each row of frequency by itself."""

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frequency, frames)` to the same shape."""
        if has_onednn(x) or learns_on_cpu(x):
            return self._add_in_tiles(x)
        batch = x.shape[0]
        rows = rearrange(x, "b c f t -> (b f) c t")
        for branch in self:
            rows = rows + branch(rows)
        return rearrange(rows, "(b f) c t -> b c f t", b=batch)

    def _add_in_tiles(self, x: Tensor) -> Tensor:
        """`forward` on an input stored channels-last; in place without gradients."""
        rows = rearrange(x, "b c f t -> (b f) t c").contiguous()
        if torch.is_grad_enabled():
            rows = self._add_to(rows)
        else:
            # Rows that stay in the cache from branch to branch.
            for tile in rows.split(max(1, TILE // rows[0].numel())):
                self._add_to(tile)
        return rearrange(rows, "(b f) t c -> b c f t", b=x.shape[0])

    def _add_to(self, rows: Tensor) -> Tensor:
        for branch in self:
            assert isinstance(branch, ResidualBranch)
            rows = branch.add_to(rows)
        return rows
