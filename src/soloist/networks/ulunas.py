"""UL-UNAS: real masks by a U-Net of small blocks that an architecture search chose, on ERB bands.

    log magnitudes - bands - encoder - dual paths - decoder (+ the encoder's) - sigmoid - bands back - mask

X. Rong, L. Hu, Y. Sun, T. Sun, L. Wang, Y. Hu, J. Chen and J. Lu, "UL-UNAS: Ultra-lightweight U-Nets for
real-time speech enhancement via network architecture search", 2025 (arXiv:2503.00340).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.networks.layers.carry import Carry
from soloist.networks.layers.contracts import SpectralNetwork, State
from soloist.networks.layers.convolutions import ConvNorm
from soloist.networks.layers.erb_bands import ErbBands
from soloist.networks.layers.grouped_recurrence import DualPathGRU, TimeGate

BlockKind = Literal["full", "separable", "inverted"]
"""Convolution of a block: a full one; a depthwise one after a pointwise one; a depthwise one between two."""

_GROUP = 4
"""Neighbouring bands that the gates of the bands see at once."""

_FLOOR = 1e-12
"""Least magnitude whose logarithm is taken."""


@dataclass(frozen=True)
class UnasBlock:
    """A block of the encoder, and of the decoder that mirrors it.

    Attributes:
        kind: Kind of its convolutions.
        channels: Output channels of the encoder's block.
        kernel: Taps of the convolution in frames and in bands; the latter odd.
        stride: Bands that become one.
        groups: Groups of the pointwise convolutions, 1 or 2; with 2, channels of both are interleaved.
    """

    kind: BlockKind
    channels: int
    kernel: tuple[int, int]
    stride: int = 1
    groups: int = 1


PUBLISHED_BLOCKS = (
    UnasBlock("full", 12, (3, 3), 2),
    UnasBlock("inverted", 24, (2, 3), 2, 2),
    UnasBlock("separable", 24, (2, 3), 1, 2),
    UnasBlock("inverted", 32, (1, 5), 1, 2),
    UnasBlock("separable", 16, (1, 5), 1, 2),
)
"""Blocks of the published network."""


class AffinePReLU(nn.Module):
    """PReLU with a slope for each channel, plus a gain and a shift for each channel and band.

    Args:
        channels: Number of channels.
        num_bands: Number of bands.
    """

    def __init__(self, channels: int, num_bands: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(channels, 1, num_bands))
        self.shift = nn.Parameter(torch.zeros(channels, 1, num_bands))
        self.activation = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames, bands)`."""
        return torch.addcmul(self.activation(x) + self.shift, self.gain, x)


class BandGate(nn.Module):
    """Gain of each band in each frame, from the powers of the frame's bands."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(_GROUP, _GROUP, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(2 * _GROUP, _GROUP)

    def forward(self, x: Tensor) -> Tensor:
        """Gains `(batch, 1, frames, bands)` in [0, 1] for `(batch, channels, frames, bands)`."""
        bands = x.shape[-1]
        powers = pad(x.square().mean(dim=1), (0, -bands % _GROUP))
        groups = rearrange(powers, "b t (s g) -> (b t) s g", g=_GROUP)
        gains = torch.sigmoid(self.linear(self.gru(groups)[0]))
        return rearrange(gains, "(b t) s g -> b 1 t (s g)", b=x.shape[0])[..., :bands]


class Gates(nn.Module):
    """Gains of channels over time, times gains of bands.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_time = TimeGate(channels)
        self.of_bands = BandGate()

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Weigh the next frames `(batch, channels, frames, bands)` of a stream."""
        return self.of_time(x, carry) * x * self.of_bands(x)


class UnasLayer(nn.Module):
    """Block of the encoder or of the decoder.

    Args:
        design: Kind and sizes.
        inputs: Input channels.
        outputs: Output channels.
        bands: Bands of the input and of the output; a decoder's block has no fewer than before.
        last: True for the last block, which has no activation and does not interleave.
        upwards: True for a block of the decoder.
    """

    def __init__(
        self,
        design: UnasBlock,
        inputs: int,
        outputs: int,
        bands: tuple[int, int],
        *,
        last: bool = False,
        upwards: bool = False,
    ) -> None:
        super().__init__()
        groups, full = design.groups, design.kind == "full"
        self.past = design.kernel[0] - 1
        self.first: nn.Module = nn.Identity() if full else _pointwise(inputs, outputs, groups)
        self.first_activation = nn.Identity() if full else AffinePReLU(outputs, bands[0])
        hidden = (inputs, groups) if full else (outputs, outputs)
        self.conv = ConvNorm(_conv(design, *hidden, outputs, transposed=upwards and design.stride > 1))
        self.activation = nn.Identity() if last else AffinePReLU(outputs, bands[1])
        inverted = design.kind == "inverted"
        self.second: nn.Module = _pointwise(outputs, outputs, groups) if inverted else nn.Identity()
        self.gates = Gates(outputs)
        self.shuffles = groups == 2 and not full
        self.shuffles_output = groups == 2 and not last and design.kind != "separable"
        self.skips = inverted and inputs == outputs and bands[0] == bands[1]

    def forward(self, x: Tensor, carry: Carry) -> Tensor:
        """Map the next frames of a stream.

        Args:
            x: `(batch, inputs, frames, bands)`.
            carry: State of the stream.

        Returns:
            `(batch, outputs, frames, bands)`.
        """
        hidden = self.first_activation(self.first(x))
        hidden = interleave(hidden) if self.shuffles else hidden
        hidden = self.second(self.activation(self.conv(carry.prepend(hidden, self.past))))
        hidden = self.gates(hidden, carry)
        hidden = hidden + x if self.skips else hidden
        return interleave(hidden) if self.shuffles_output else hidden


def interleave(x: Tensor) -> Tensor:
    """Interleave the channels of the two halves of `(batch, channels, frames, bands)`."""
    return torch.stack(x.chunk(2, dim=1), dim=2).flatten(1, 2)


def _pointwise(inputs: int, outputs: int, groups: int) -> ConvNorm:
    return ConvNorm(nn.Conv2d(inputs, outputs, 1, groups=groups))


def _conv(
    design: UnasBlock, inputs: int, groups: int, outputs: int, *, transposed: bool
) -> nn.Conv2d | nn.ConvTranspose2d:
    frames, taps = design.kernel
    stride = (1, design.stride)
    if transposed:
        # Padding in time drops what reaches beyond the frames: a causal convolution with mirrored taps.
        padding = (frames - 1, taps // 2)
        return nn.ConvTranspose2d(inputs, outputs, design.kernel, stride, padding, groups=groups)
    return nn.Conv2d(inputs, outputs, design.kernel, stride, (0, taps // 2), groups=groups)


class ULUNAS(SpectralNetwork):
    """Real mask of one source, from the magnitudes of one channel.

    Args:
        blocks: Blocks of the encoder; the first one is full, and the channels of the last one are a multiple
            of four.
        num_bins: Frequencies from 0 Hz to half the sample rate, both included.
        num_kept: Lowest bins, which stay as they are.
        num_bands: ERB bands of the other bins; with the kept ones, one more than a multiple of all strides.
        sample_rate: Rate of the recordings, Hz, which decides the bands.

    Raises:
        UsageError: The bands do not fit the strides or are too many, or a block is not possible.
    """

    def __init__(
        self,
        blocks: Sequence[UnasBlock] = PUBLISHED_BLOCKS,
        num_bins: int = 257,
        num_kept: int = 65,
        num_bands: int = 64,
        sample_rate: int = 16000,
    ) -> None:
        super().__init__()
        bands = _bands_of(blocks, num_kept + num_bands)
        self.bands = ErbBands(num_bins, num_kept, num_bands, sample_rate)
        channels = [1, *(block.channels for block in blocks)]
        places = range(len(blocks))
        self.encoder = nn.ModuleList(
            UnasLayer(blocks[i], channels[i], channels[i + 1], (bands[i], bands[i + 1])) for i in places
        )
        self.dual_paths = nn.ModuleList(DualPathGRU(channels[-1], bands[-1]) for _ in range(2))
        self.decoder = nn.ModuleList(
            UnasLayer(
                blocks[i], channels[i + 1], channels[i], (bands[i + 1], bands[i]), last=i == 0, upwards=True
            )
            for i in reversed(places)
        )

    @property
    def lookahead(self) -> int:
        """Frames of look-ahead: 0."""
        return 0

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Estimate a mask from magnitudes `(batch, 1, num_bins, frames)`.

        Returns:
            Mask `(batch, 1, num_bins, frames)`, in [0, 1] in each band.
        """
        return self.step(spectrogram)[0]

    def step(self, frames: Tensor, state: State = ()) -> tuple[Tensor, State]:
        """Estimate the mask of the next frames; see `Streaming`."""
        carry = Carry(state)
        x = self.bands(frames.transpose(2, 3).clamp(min=_FLOOR).log10())
        skips = []
        for block in self.encoder:
            x = block(x, carry)
            skips.append(x)
        for path in self.dual_paths:
            x = path(x, carry)
        for block in self.decoder:
            x = block(x + skips.pop(), carry)
        return self.bands.inverse(x.sigmoid()).transpose(2, 3), carry.state


def _bands_of(blocks: Sequence[UnasBlock], num_bands: int) -> list[int]:
    """Bands before each block and behind the last one.

    Raises:
        UsageError: The bands do not fit the strides, or a block is not possible.
    """
    bands = [num_bands]
    for block in blocks:
        if (bands[-1] - 1) % block.stride:
            raise UsageError(f"{num_bands} bands, less one, cannot be divided by the strides of the blocks")
        bands.append((bands[-1] - 1) // block.stride + 1)
    if not blocks or blocks[0].kind != "full" or blocks[0].groups != 1 or blocks[-1].channels % 4:
        raise UsageError(
            "the first block must be full and of one group, the last of a multiple of 4 channels"
        )
    return bands
