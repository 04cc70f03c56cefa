"""SCNet: a complex spectrogram compressed by bands, separated by dual paths, and expanded again.

    spectrogram - sparse down - ... - sparse down - dual paths - + - sparse up - ... - + - sparse up - spectra
                       |                  +----------------------^                     |
                       +--------------------------------------------------------------^

A block down has three bands: low ones keep their bins, higher ones lose most. The dual paths see frames and
their Fourier transform (along time, for each bin) in turn.

W. Tong, J. Zhu, J. Chen, S. Kang, T. Jiang, Y. Li, Z. Wu and H. Meng, "SCNet: Sparse compression network for
music source separation", ICASSP 2024.
"""

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
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.convolutions import set_weight
from soloist.networks.roformer.positions import RotaryPositions
from soloist.networks.roformer.transformer import Attention, Axis, Transformer
from soloist.resources import is_captured


class SCNet(SpectralNetwork):
    """Spectra of all sources, or their complex masks, from bands that are compressed unequally.

    Args:
        num_sources: Number of sources.
        dims: Channels before the first block (four for a complex stereo spectrogram) and after each.
        num_bins: Frequencies of the spectrogram.
        band_ratios: Parts of the frequencies in the low and in the middle band; the rest is the high band.
        band_strides: Bins that become one, in the low, the middle and the high band.
        band_kernels: Bins of a kernel along frequency in each band.
        conv_depths: Convolution modules of each band in a block.
        compress: Ratio of channels to hidden channels in a convolution module.
        conv_kernel: Frames of a kernel in a convolution module, odd.
        num_dual_paths: Dual paths, an even number.
        expand: Ratio of hidden features to channels in a recurrent layer.
        attention: Transformers in place of recurrent layers; None for recurrent ones.
        masked: Estimate complex masks in place of spectra, with a position code for each bin of the input.
        normalized: Bring the spectrogram to zero mean and unit deviation, and the estimates back.

    Raises:
        UsageError: The number of dual paths is odd, or a band does not come back to its length.
    """

    def __init__(
        self,
        num_sources: int = 4,
        *,
        dims: Sequence[int] = (4, 32, 64, 128),
        num_bins: int = 2049,
        band_ratios: tuple[float, float] = (0.175, 0.392),
        band_strides: Sequence[int] = (1, 4, 16),
        band_kernels: Sequence[int] = (3, 4, 16),
        conv_depths: Sequence[int] = (3, 2, 1),
        compress: float = 4,
        conv_kernel: int = 3,
        num_dual_paths: int = 6,
        expand: int = 1,
        attention: PathAttention | None = None,
        masked: bool = False,
        normalized: bool = False,
    ) -> None:
        super().__init__()
        if num_dual_paths % 2:
            raise UsageError(
                f"num_dual_paths {num_dual_paths} must be even: every second one undoes a transform"
            )
        self.num_bins = num_bins
        self.normalized = normalized
        self.memory_format = torch.contiguous_format
        self.encoders = nn.ModuleList()
        decoders: list[nn.Module] = []
        bins = num_bins
        for before, after in pairwise(dims):
            bands = BandSizes.split(bins, band_ratios, band_strides, band_kernels)
            self.encoders.append(SparseDown(before, after, bands, conv_depths, compress, conv_kernel))
            outputs = before if decoders else before * num_sources
            decoders.insert(0, SparseUp(after, outputs, bands))
            bins = sum(bands.compressed)
        self.decoders = nn.ModuleList(decoders)
        self.dual_paths = nn.ModuleList(
            DualPath(dims[-1] * (1 + index % 2), expand, attention) for index in range(num_dual_paths)
        )
        planes = dims[0] * num_sources
        self.position = nn.Parameter(torch.zeros(1, dims[0], num_bins, 1)) if masked else None
        self.mask = (
            nn.Sequential(nn.Conv2d(planes, 64, 3, padding=1), nn.GELU(), nn.Conv2d(64, planes, 1), nn.Tanh())
            if masked
            else None
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map `(batch, dims[0], num_bins, frames)` to `(batch, sources * dims[0], num_bins, frames)`.

        Raises:
            UsageError: The number of bins differs from `num_bins`.
        """
        if spectrogram.shape[-2] != self.num_bins:
            raise UsageError(
                f"the network is made for {self.num_bins} bins and was given {spectrogram.shape[-2]}"
            )
        if not self.normalized:
            return self._map(spectrogram)
        deviation, mean = torch.std_mean(spectrogram, dim=(1, 2, 3), keepdim=True)
        return self._map((spectrogram - mean) / (1e-5 + deviation)) * deviation + mean

    def optimize(self) -> None:
        """Choose the fastest memory layout on a CPU: channels last."""
        self.memory_format = torch.channels_last
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                set_weight(module, module.weight.detach(), module.bias)

    def _map(self, x: Tensor) -> Tensor:
        x = x if self.position is None else x + self.position
        skips = []
        x = x.contiguous(memory_format=self.memory_format)
        for encoder in self.encoders:
            x, skip = encoder(x)
            skips.append(skip)
        x = self._separate(x)
        for decoder in self.decoders:
            x = decoder(x, skips.pop())
        return x if self.mask is None else self.mask(x)

    def _separate(self, x: Tensor) -> Tensor:
        """Dual paths on frames `(batch, channels, bins, frames)`, and on their transforms, in turn."""
        frames = x.shape[-1]
        for index, path in enumerate(self.dual_paths):
            x = path(x)
            x = from_modulations(x, frames) if index % 2 else to_modulations(x)
        return x


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
        hidden = self.depthwise(F.glu(self.gated(self.norm(x)), dim=1))
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
        """Expand compressed `(batch, channels, ...)` to `(batch, out_channels, frequency, frames)`."""
        weight = self.mix.weight
        if weight.shape[1] > x.shape[1]:
            weight = weight.unflatten(1, (2, -1)).sum(dim=1)
        mixed = F.glu(F.conv2d(x + skip, weight, self.mix.bias, padding=1), dim=1)
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


@dataclass(frozen=True)
class PathAttention:
    """Transformers of the dual paths, with rotary positions.

    Attributes:
        depth: Layers of a transformer.
        heads: Heads of an attention.
        head_dim: Features of a head.
        dropout: Probability, in training.
    """

    depth: int = 1
    heads: int = 8
    head_dim: int = 64
    dropout: float = 0.0


class DualPath(nn.Module):
    """Recurrence or attention along frequency, then along time, on normalised features; both are added.

    Args:
        channels: Channels of input and output.
        expand: Ratio of hidden features, for each direction, to channels.
        attention: Transformers in place of recurrent layers; None for recurrent ones.
    """

    def __init__(self, channels: int, expand: int, attention: PathAttention | None) -> None:
        super().__init__()
        self.frequency_norm, self.time_norm = nn.GroupNorm(1, channels), nn.GroupNorm(1, channels)
        axes: tuple[Axis, Axis] = ("bands", "frames")
        self.frequency_path, self.time_path = (
            SequenceRNN(channels, expand * channels, axis)
            if attention is None
            else SequenceAttention(channels, attention, axis)
            for axis in axes
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, bins, frames)` to the same shape."""
        x = x + self.frequency_path(self.frequency_norm(x))
        return x + self.time_path(self.time_norm(x))


class SequenceAttention(nn.Module):
    """Transformer along frequency or time.

    Args:
        features: Features of a step.
        attention: Sizes of the transformer.
        axis: Axis of the sequences: "bands" for frequency.
    """

    def __init__(self, features: int, attention: PathAttention, axis: Axis) -> None:
        super().__init__()
        heads, size, dropout = attention.heads, attention.head_dim, attention.dropout
        layers = [Attention(features, heads, size, axis, dropout) for _ in range(attention.depth)]
        self.transformer = Transformer(layers, features, axis, norm=True, dropout=dropout)
        self.positions = RotaryPositions(size, heads)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, features, bins, frames)` to the same shape."""
        tokens = rearrange(x, "b c f t -> b t f c").contiguous()
        return rearrange(self.transformer(tokens, self.positions), "b t f c -> b c f t")


class SequenceRNN(nn.Module):
    """LSTM in both directions, and a linear layer back to the features of the input.

    Args:
        features: Features of a step.
        hidden_size: Hidden features of each direction.
        axis: Axis of the sequences: "bands" for frequency.
    """

    def __init__(self, features: int, hidden_size: int, axis: Axis) -> None:
        super().__init__()
        self.axis = axis
        self.lstm = nn.LSTM(features, hidden_size, bidirectional=True)
        self.linear = nn.Linear(2 * hidden_size, features)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, features, bins, frames)` to the same shape."""
        steps = "f (b t) c" if self.axis == "bands" else "t (b f) c"
        hidden, _ = self.lstm(rearrange(x, f"b c f t -> {steps}"))
        return rearrange(self.linear(hidden), f"{steps} -> b c f t", b=x.shape[0])


def to_modulations(x: Tensor) -> Tensor:
    """Orthonormal Fourier transform along frames, as real and imaginary parts.

    Args:
        x: `(batch, channels, bins, frames)`.

    Returns:
        `(batch, 2 * channels, bins, frames // 2 + 1)`, the real parts first.
    """
    if is_captured():
        cosine, sine = _fourier_matrices(x, x.shape[-1])
        return torch.cat([x @ cosine, -(x @ sine)], dim=1)
    spectrum = torch.fft.rfft(x, norm="ortho")
    return torch.cat([spectrum.real, spectrum.imag], dim=1)


def from_modulations(x: Tensor, frames: int) -> Tensor:
    """Invert `to_modulations` for an even or odd number of frames."""
    real, imaginary = x.chunk(2, dim=1)
    if not is_captured():
        return torch.fft.irfft(torch.complex(real, imaginary), frames, norm="ortho")
    cosine, sine = _fourier_matrices(x, frames)
    # All but the first frequency, and the last one of an even number, stand for two.
    index = torch.arange(cosine.shape[1], device=x.device)
    share = 2.0 - (index * 2 % frames == 0).to(x.dtype)
    return (real * share) @ cosine.T - (imaginary * share) @ sine.T


def _fourier_matrices(like: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines `(frames, frames // 2 + 1)` of the orthonormal transform, for graphs."""
    time, frequency = (torch.arange(n, device=like.device) for n in (frames, frames // 2 + 1))
    # The remainder keeps angles small, and so exact.
    angles = (time[:, None] * frequency % frames).to(like.dtype) * (2 * torch.pi / frames)
    return angles.cos() * frames**-0.5, angles.sin() * frames**-0.5
