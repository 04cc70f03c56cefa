"""Blocks of SCNet that compress the bands of a spectrogram unequally, and expand them again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.networks.layers.convolutions import set_weight
from soloist.networks.layers.gating import gate
from soloist.networks.layers.onednn import add_into
from soloist.resources import is_captured


@dataclass(frozen=True)
class BandSizes:
    """Division of frequencies into bands, and of each band into groups of bins.

    Attributes:
        full: Bins of each band.
        compressed: Bins of each band after a block down.
        strides: Bins that become one.
        kernels: Bins of a kernel.
    """

    full: tuple[int, ...]
    compressed: tuple[int, ...]
    strides: tuple[int, ...]
    kernels: tuple[int, ...]

    @classmethod
    def split(
        cls, bins: int, ratios: tuple[float, float], strides: Sequence[int], kernels: Sequence[int]
    ) -> BandSizes:
        """Divide `bins` frequencies; see `SCNet`.

        Raises:
            UsageError: A band is empty, or does not come back to its length.
        """
        low, middle = ratios
        # The order of the sum decides where a band ends.
        edges = [0, math.ceil(bins * low), math.ceil(bins * (low + middle)), bins]
        full = tuple(stop - start for start, stop in pairwise(edges))
        compressed = tuple(
            (length + sum(_padding(length, stride, kernel)) - kernel) // stride + 1
            for length, stride, kernel in zip(full, strides, kernels, strict=True)
        )
        back = [(n - 1) * s + k for n, s, k in zip(compressed, strides, kernels, strict=True)]
        if min(*full, *compressed) < 1 or any(n < length for n, length in zip(back, full, strict=True)):
            raise UsageError(
                f"{bins} bins cannot be compressed in bands of {', '.join(map(str, full))} bins by strides "
                f"{list(strides)} and kernels {list(kernels)}"
            )
        return cls(full, compressed, tuple(strides), tuple(kernels))


def _padding(length: int, stride: int, kernel: int) -> tuple[int, int]:
    """Zeros below and above a band."""
    total = kernel - 1 if stride == 1 else -length % stride
    return total // 2, total - total // 2


class SparseDown(nn.Module):
    """Block down: each band compressed along frequency and refined along time, then all bands together.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        bands: Bands of the input.
        depths: Convolution modules of each band.
        compress: See `SCNet`.
        kernel: Frames of a kernel in a convolution module.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        bands: BandSizes,
        depths: Sequence[int],
        compress: float,
        kernel: int,
    ) -> None:
        super().__init__()
        self.bands = bands
        self.compressions = nn.ModuleList(
            nn.Conv2d(in_channels, channels, (size, 1), (stride, 1))
            for size, stride in zip(bands.kernels, bands.strides, strict=True)
        )
        self.paddings = [
            _padding(*sizes) for sizes in zip(bands.full, bands.strides, bands.kernels, strict=True)
        ]
        hidden = int(channels / compress)
        self.refinements = nn.ModuleList(
            nn.Sequential(*(FrameModule(channels, hidden, kernel) for _ in range(depth))) for depth in depths
        )
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compress `(batch, in_channels, frequency, frames)`.

        Returns:
            `(batch, channels, compressed frequency, frames)`, and the same before the bands are mixed.
        """
        refined = []
        parts = x.split(list(self.bands.full), dim=2)
        bands = zip(parts, self.paddings, self.compressions, self.refinements, strict=True)
        for part, padding, compression, refinement in bands:
            part = F.pad(part, (0, 0, *padding)) if any(padding) else part
            refined.append(F.gelu(refinement(compression(part))))
        skip = torch.cat(refined, dim=2)
        return self.mix(skip), skip


class FrameModule(nn.Module):
    """Residual convolutions along the frames of each bin, with few hidden channels.

    Args:
        channels: Channels of input and output.
        hidden: Hidden channels.
        kernel: Frames of a kernel, odd.
    """

    def __init__(self, channels: int, hidden: int, kernel: int) -> None:
        super().__init__()
        size, padding = (1, kernel), (0, kernel // 2)
        self.norm = BinNorm(channels)
        self.gated = nn.Conv2d(channels, 2 * hidden, size, padding=padding)
        self.depthwise = nn.Conv2d(hidden, hidden, size, padding=padding, groups=hidden)
        self.hidden_norm = BinNorm(hidden)
        self.output = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frequency, frames)` to the same shape, each bin on its own."""
        hidden = self.depthwise(gate(self.gated(self.norm(x))))
        return x + self.output(F.silu(self.hidden_norm(hidden)))


class BinNorm(nn.Module):
    """Norm of each bin over its channels and frames, with a gain and a shift for each channel.

    Args:
        channels: Channels of the input.
        eps: Added to the (biased) variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, channels, frequency, frames)`; the result is stored channels-last."""
        if is_captured():
            bins = rearrange(x, "b c f t -> (b f) c t")
            normalized = F.group_norm(bins, 1, self.gain, self.shift, self.eps)
            return rearrange(normalized, "(b f) c t -> b c f t", b=x.shape[0])
        rows = rearrange(x, "b c f t -> b f t c")
        shape = list(rows.shape[2:])
        gain, shift = (values.expand(shape) for values in (self.gain, self.shift))
        return rearrange(F.layer_norm(rows, shape, gain, shift, self.eps), "b f t c -> b c f t")


class SparseUp(nn.Module):
    """Block up: adds the skipped features, mixes the bands, and expands each band along frequency.

    Args:
        channels: Channels of the input.
        out_channels: Channels of the output.
        bands: Bands of the output.
    """

    def __init__(self, channels: int, out_channels: int, bands: BandSizes) -> None:
        super().__init__()
        self.bands = bands
        # The published layer takes its input twice; its weights are kept apart, and added up when used.
        self.mix = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)
        self.expansions = nn.ModuleList(
            nn.ConvTranspose2d(channels, out_channels, (size, 1), (stride, 1))
            for size, stride in zip(bands.kernels, bands.strides, strict=True)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Expand compressed `(batch, channels, ...)` to `(batch, out_channels, frequency, frames)`.

        Without gradients, the input may be overwritten.
        """
        weight = self.mix.weight
        if weight.shape[1] > x.shape[1]:
            weight = weight.unflatten(1, (2, -1)).sum(dim=1)
        mixed = gate(F.conv2d(add_into(x, skip), weight, self.mix.bias, padding=1))
        expanded = []
        parts = mixed.split(list(self.bands.compressed), dim=2)
        for part, expansion, length in zip(parts, self.expansions, self.bands.full, strict=True):
            band = expansion(part)
            start = (band.shape[2] - length) // 2
            expanded.append(band[:, :, start : start + length])
        return torch.cat(expanded, dim=2)

    def optimize(self) -> None:
        """Add the halves of the weights up."""
        set_weight(self.mix, self.mix.weight.detach().unflatten(1, (2, -1)).sum(dim=1), self.mix.bias)
