"""Small recurrent layers of enhancement networks, on `(batch, channels, frames, bands)`."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.networks.layers.carry import Carry


class TimeGate(nn.Module):
    """Gain of each channel in each frame, from the powers of the channels so far.

    X. Rong, T. Sun, X. Zhang, Y. Hu, C. Zhu and J. Lu, "GTCRN: A speech enhancement model requiring ultralow
    computational resources", ICASSP 2024.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, 2 * channels, batch_first=True)
        self.linear = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Gains `(batch, channels, frames, 1)` in [0, 1] for the next frames of a stream."""
        powers = x.square().mean(dim=-1).transpose(1, 2)
        gains = torch.sigmoid(self.linear(carry.recur(self.gru, powers)))
        return gains.transpose(1, 2)[..., None]


class GroupedGRU(nn.Module):
    """Two recurrent layers, each on half of the features.

    Args:
        features: Input and output features of a step; a multiple of four if bidirectional.
        bidirectional: Run in both directions, with half of the features for each.
    """

    def __init__(self, features: int, bidirectional: bool) -> None:
        super().__init__()
        half = features // 2
        hidden = half // (1 + bidirectional)
        self.halves = nn.ModuleList(
            nn.GRU(half, hidden, batch_first=True, bidirectional=bidirectional) for _ in range(2)
        )

    def forward(self, x: Tensor, carry: Carry | None) -> Tensor:
        """Map sequences `(batch, steps, features)` to the same shape.

        Args:
            x: The sequences: whole ones, or the next frames of streams.
            carry: State of the streams; None for whole sequences.
        """
        outputs = []
        for rnn, part in zip(self.halves, x.chunk(2, dim=-1), strict=True):
            assert isinstance(rnn, nn.GRU)
            outputs.append(rnn(part)[0] if carry is None else carry.recur(rnn, part))
        return torch.cat(outputs, dim=-1)


class DualPathGRU(nn.Module):
    """Recurrences along the bands of each frame, then along the frames of each band.

    The output of either is normalised over the bands and channels of each frame, and added to its input.

    Args:
        channels: Channels of input and output; a multiple of four.
        num_bands: Number of bands.
    """

    def __init__(self, channels: int, num_bands: int) -> None:
        super().__init__()
        self.intra = GroupedGRU(channels, bidirectional=True)
        self.intra_linear = nn.Linear(channels, channels)
        self.intra_norm = nn.LayerNorm([num_bands, channels], eps=1e-8)
        self.inter = GroupedGRU(channels, bidirectional=False)
        self.inter_linear = nn.Linear(channels, channels)
        self.inter_norm = nn.LayerNorm([num_bands, channels], eps=1e-8)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Map the next frames `(batch, channels, frames, bands)` of a stream to the same shape."""
        batch = x.shape[0]
        x = rearrange(x, "b c t f -> b t f c")
        along_bands = self.intra(rearrange(x, "b t f c -> (b t) f c"), None)
        x = x + self.intra_norm(rearrange(self.intra_linear(along_bands), "(b t) f c -> b t f c", b=batch))
        along_frames = self.inter(rearrange(x, "b t f c -> (b f) t c"), carry)
        x = x + self.inter_norm(rearrange(self.inter_linear(along_frames), "(b f) t c -> b t f c", b=batch))
        return rearrange(x, "b t f c -> b c t f")
