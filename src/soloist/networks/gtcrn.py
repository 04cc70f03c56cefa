"""GTCRN: complex masks by grouped convolutions and grouped recurrences on ERB bands.

    spectrum - bands - neighbours - 2 strided convolutions - 3 temporal blocks - 2 dual paths
                                             |                      |                |
    mask - bands back - tanh - 2 transposed convolutions (+) - 3 temporal blocks (+) +

X. Rong, T. Sun, X. Zhang, Y. Hu, C. Zhu and J. Lu, "GTCRN: A speech enhancement model requiring ultralow
computational resources", ICASSP 2024.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.networks.layers.carry import Carry
from soloist.networks.layers.contracts import SpectralNetwork, State
from soloist.networks.layers.convolutions import ConvNorm
from soloist.networks.layers.erb_bands import ErbBands
from soloist.networks.layers.grouped_recurrence import DualPathGRU, TimeGate

_TAPS = 3
"""Taps of the temporal blocks, in frames and in bands; neighbours that a band is seen with."""

_FLOOR = 1e-12
"""Added to powers before the root."""


class TemporalBlock(nn.Module):
    """Dilated depthwise convolution over past frames, on half of the channels.

    The processed half and the other one are interleaved ("shuffled"), so that the next block processes some
    of each.

    Args:
        channels: Channels of input and output.
        dilation: Distance of the taps, frames.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        half = channels // 2
        self.past = (_TAPS - 1) * dilation
        self.widen = nn.Sequential(ConvNorm(nn.Conv2d(_TAPS * half, channels, 1)), nn.PReLU())
        depthwise = nn.Conv2d(
            channels, channels, _TAPS, padding=(0, _TAPS // 2), dilation=(dilation, 1), groups=channels
        )
        self.depthwise = nn.Sequential(ConvNorm(depthwise), nn.PReLU())
        self.narrow = ConvNorm(nn.Conv2d(channels, half, 1))
        self.gate = TimeGate(half)

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Map the next frames `(batch, channels, frames, bands)` of a stream to the same shape."""
        processed, kept = x.chunk(2, dim=1)
        hidden = carry.prepend(self.widen(with_neighbours(processed)), self.past)
        processed = self.narrow(self.depthwise(hidden))
        processed = processed * self.gate(processed, carry)
        return torch.stack([processed, kept], dim=2).flatten(1, 2)


def with_neighbours(x: Tensor) -> Tensor:
    """Give each band its lower neighbour, itself and its upper neighbour as channels.

    Args:
        x: `(batch, channels, frames, bands)`.

    Returns:
        `(batch, 3 * channels, frames, bands)`, the three of the first channel first; zeros beyond the bands.
    """
    bands = x.shape[-1]
    padded = pad(x, (_TAPS // 2, _TAPS // 2))
    return torch.stack([padded[..., tap : tap + bands] for tap in range(_TAPS)], dim=2).flatten(1, 2)


class GTCRN(SpectralNetwork):
    """Complex mask of one source, from the real and imaginary parts of one channel.

    Args:
        num_bins: Frequencies from 0 Hz to half the sample rate, both included.
        num_kept: Lowest bins, which stay as they are.
        num_bands: ERB bands of the other bins; with the kept ones, one more than a multiple of four.
        sample_rate: Rate of the recordings, Hz, which decides the bands.
        channels: Channels between the blocks; a multiple of four.
        dilations: Distances of the taps of the encoder's temporal blocks, frames; the decoder's are reversed.

    Raises:
        UsageError: The bands cannot be halved twice, or are too many.
    """

    def __init__(
        self,
        num_bins: int = 257,
        num_kept: int = 65,
        num_bands: int = 64,
        sample_rate: int = 16000,
        channels: int = 16,
        dilations: Sequence[int] = (1, 2, 5),
    ) -> None:
        super().__init__()
        if (num_kept + num_bands) % 4 != 1 or channels % 4:
            raise UsageError(
                f"num_kept {num_kept} and num_bands {num_bands} must be one more than a multiple of 4 "
                f"together, and channels ({channels}) be one"
            )
        halved = ((1, 5), (1, 2), (0, 2))
        self.bands = ErbBands(num_bins, num_kept, num_bands, sample_rate)
        self.down = nn.ModuleList(
            nn.Sequential(ConvNorm(nn.Conv2d(inputs, channels, *halved, groups=groups)), nn.PReLU())
            for inputs, groups in ((3 * _TAPS, 1), (channels, 2))
        )
        self.encoder = nn.ModuleList(TemporalBlock(channels, dilation) for dilation in dilations)
        quarter = (num_kept + num_bands) // 4 + 1
        self.dual_paths = nn.ModuleList(DualPathGRU(channels, quarter) for _ in range(2))
        self.decoder = nn.ModuleList(TemporalBlock(channels, dilation) for dilation in reversed(dilations))
        transposed = nn.ConvTranspose2d(channels, channels, *halved, groups=2)
        last = nn.ConvTranspose2d(channels, 2, *halved)
        self.up = nn.ModuleList(
            [nn.Sequential(ConvNorm(transposed), nn.PReLU()), nn.Sequential(ConvNorm(last), nn.Tanh())]
        )

    @property
    def lookahead(self) -> int:
        """Frames of look-ahead: 0."""
        return 0

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Estimate a mask from real and imaginary parts `(batch, 2, num_bins, frames)`.

        Returns:
            Real and imaginary part of the mask, `(batch, 2, num_bins, frames)`, both in [-1, 1] in each band.
        """
        return self.step(spectrogram)[0]

    def step(self, frames: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Estimate the mask of the next frames; see `Streaming`."""
        carry = Carry(state)
        parts = frames.transpose(2, 3)
        magnitude = (parts.square().sum(dim=1, keepdim=True) + _FLOOR).sqrt()
        x = with_neighbours(self.bands(torch.cat([magnitude, parts], dim=1)))
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        for block in self.encoder:
            x = block(x, carry)
            skips.append(x)
        for path in self.dual_paths:
            x = path(x, carry)
        for block in self.decoder:
            x = block(x + skips.pop(), carry)
        for block in self.up:
            x = block(x + skips.pop())
        return self.bands.inverse(x).transpose(2, 3), carry.state
