"""TFC-TDF v3, the network of MDX23C: a U-Net on sub-bands of a complex spectrogram.

    bands - entry - block ------------------------------- block - x entry - exit - spectra of the sources
                      down - block ------------------- block - up
                               down - ... block ... - up
    block: + shortcut of (convolution - [+ fully connected over frequency] - convolution)

Sub-bands are stacked as channels. Norm and activation come before a convolution, not after it. The output is
the spectrogram of each source, not a mask.

M. Kim, J. H. Lee and S. Jung, "Sound Demixing Challenge 2023 Music Demixing Track technical report:
TFC-TDF-UNet v3", arXiv 2306.09382.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.convolutions import (
    Activation,
    add_mapped_bins,
    make_activation,
    map_bins,
    set_weight,
)
from soloist.networks.layers.normalization import instance_norm_gelu
from soloist.networks.layers.onednn import has_onednn, learns_on_cpu, multiply_into
from soloist.networks.layers.winograd import add_convolved, convolve
from soloist.resources import is_captured

_PART = 2**19
"""Numbers that are normalised at once on a processor."""

BlockNorm = Literal["batch", "instance", "group", "none"]
"""Normalisation before a convolution: of each channel over all items or over one item, or of groups."""


class TFCTDFv3(SpectralNetwork):
    """U-Net of TFC-TDF blocks on the stacked sub-bands of a spectrogram.

    Args:
        input_channels: Channels of the spectrogram (four for a complex stereo one).
        output_channels: Channels of the output: those of all sources.
        num_bins: Frequencies of the spectrogram.
        num_input_bins: Lowest frequencies, which the network sees and estimates; the others are estimated as
            zero. A whole number of `num_subbands`, each divisible by the frequency scales.
        num_subbands: Sub-bands of equal width, stacked as channels.
        internal_channels: Channels at the top level.
        growth: Further channels at each level below.
        num_scales: Levels below the top one.
        scale: Factors of frames and of bins from a level to the next.
        blocks_per_scale: Blocks of a level, on either side.
        bottleneck_factor: Ratio of bins to units of the fully connected layers.
        norm: Norm before each convolution.
        norm_groups: Groups of the norm "group".
        activation: Activation after each norm.
        elu_alpha: Limit of the activation "elu" for negative values, with the opposite sign.

    Raises:
        UsageError: The bins cannot be divided as often as asked for, or the norm is unknown.
    """

    def __init__(
        self,
        input_channels: int = 4,
        output_channels: int = 8,
        *,
        num_bins: int = 4097,
        num_input_bins: int = 4096,
        num_subbands: int = 4,
        internal_channels: int = 128,
        growth: int = 128,
        num_scales: int = 5,
        scale: tuple[int, int] = (2, 2),
        blocks_per_scale: int = 2,
        bottleneck_factor: int = 4,
        norm: BlockNorm = "instance",
        norm_groups: int = 1,
        activation: Activation = "gelu",
        elu_alpha: float = 1.0,
    ) -> None:
        super().__init__()
        frames_scale, bins_scale = scale
        if num_input_bins > num_bins or num_input_bins % (num_subbands * bins_scale**num_scales):
            raise UsageError(
                f"num_input_bins {num_input_bins} must not exceed num_bins, which is {num_bins}, and be "
                f"divisible by {num_subbands} sub-bands times {bins_scale} to the power of {num_scales}"
            )
        self.num_bins, self.num_input_bins, self.num_subbands = num_bins, num_input_bins, num_subbands
        self.frames_scale, self.num_scales = frames_scale, num_scales
        # Two convolutions of three frames in a block; other norms have statistics of all frames.
        self.frame_radius = 2 * blocks_per_scale if norm in ("batch", "none") else None
        self.channels_last = False
        # Of the norms, this one has gradients in that layout (see `NormActivation`).
        self.learns_channels_last = norm == "instance" and activation == "gelu"
        kernel = (bins_scale, frames_scale)
        planes, c = num_subbands * input_channels, internal_channels
        bins = [num_input_bins // num_subbands // bins_scale**level for level in range(num_scales + 1)]
        widths = [c + growth * level for level in range(num_scales + 1)]

        def before(channels: int) -> NormActivation:
            return NormActivation(channels, norm, norm_groups, activation, elu_alpha)

        def stack(inputs: int, channels: int, count: int) -> nn.Sequential:
            sizes = [inputs] + [channels] * (blocks_per_scale - 1)
            return nn.Sequential(
                *(ResidualBlock(size, channels, count, bottleneck_factor, before) for size in sizes)
            )

        self.entry = nn.Conv2d(planes, c, 1, bias=False)
        self.encoders = nn.ModuleList(
            stack(w, w, count) for w, count in zip(widths[:-1], bins[:-1], strict=True)
        )
        self.downs = nn.ModuleList(
            nn.Sequential(before(w), nn.Conv2d(w, w + growth, kernel, kernel, bias=False))
            for w in widths[:-1]
        )
        self.middle = stack(widths[-1], widths[-1], bins[-1])
        self.ups = nn.ModuleList(
            nn.Sequential(before(w + growth), nn.ConvTranspose2d(w + growth, w, kernel, kernel, bias=False))
            for w in widths[-2::-1]
        )
        self.decoders = nn.ModuleList(
            stack(2 * w, w, count) for w, count in zip(widths[-2::-1], bins[-2::-1], strict=True)
        )
        self.exit = nn.Sequential(
            nn.Conv2d(c + planes, c, 1, bias=False),
            _activation(activation, elu_alpha),
            nn.Conv2d(c, num_subbands * output_channels, 1, bias=False),
        )

    @property
    def receptive_field(self) -> int | None:
        """Frames on either side that an output frame can depend on; None if unbounded."""
        if self.frame_radius is None:
            return None
        radius, scale = self.frame_radius, self.frames_scale
        for _ in range(self.num_scales):
            # A coarse frame covers `scale` fine ones: the farthest neighbour counts.
            radius = scale * radius + (scale - 1) + 2 * self.frame_radius
        return radius

    @property
    def stride(self) -> int:
        """Shift of the input, in frames, that shifts the output by as many."""
        return self.frames_scale**self.num_scales

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Map `(batch, input_channels, num_bins, frames)` to `(batch, output_channels, num_bins, frames)`.

        Raises:
            UsageError: The number of bins differs from `num_bins`.
        """
        bins, frames = spectrogram.shape[-2:]
        if bins != self.num_bins:
            raise UsageError(f"the network is made for {self.num_bins} bins and was given {bins}")
        seen = pad(spectrogram[:, :, : self.num_input_bins], (0, -frames % self.stride))
        bands = rearrange(seen, "b p (k f) t -> b (p k) f t", k=self.num_subbands)
        if self.channels_last or (self.learns_channels_last and learns_on_cpu(bands)):
            bands = bands.contiguous(memory_format=torch.channels_last)
        estimates = rearrange(self._map(bands), "b (p k) f t -> b p (k f) t", k=self.num_subbands)
        estimates = pad(estimates, (0, 0, 0, bins - self.num_input_bins))
        # In a graph, a slice would be fixed to the case of the example: frames to cut, or none.
        return pad(estimates, (0, frames - estimates.shape[-1])) if is_captured() else estimates[..., :frames]

    def optimize(self) -> None:
        """Choose the fastest memory layout on a CPU: channels last."""
        self.channels_last = True
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                set_weight(module, module.weight.detach(), None)

    def _map(self, bands: Tensor) -> Tensor:
        """Map sub-bands `(batch, planes, frequency, frames)` to those of the sources."""
        x = self.entry(bands)
        # Without gradients the entry is computed once more, in place of a map that is held, or overwritten.
        first = None if has_onednn(x) else x
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = torch.cat([up(x), skips.pop()], dim=1)
            assert isinstance(decoder, nn.Sequential)
            # Block by block: the call of all would hold on to their input.
            for block in decoder:
                x = block(x)
        x = multiply_into(x, self.entry(bands) if first is None else first)
        return self.exit(torch.cat([bands, x], dim=1))


class ResidualBlock(nn.Module):
    """Two convolutions with a frequency transformation between them, and a shortcut around all.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        num_bins: Frequencies.
        bottleneck_factor: Ratio of bins to units of the fully connected layers.
        before: Maker of norm and activation for so many channels.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        num_bins: int,
        bottleneck_factor: int,
        before: Callable[[int], NormActivation],
    ) -> None:
        super().__init__()
        units = num_bins // bottleneck_factor
        if not units:
            raise UsageError(
                f"bottleneck_factor {bottleneck_factor} is too large for the {num_bins} bins of a level"
            )
        self.shortcut = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.before_first = before(in_channels)
        self.first = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.before_narrow, self.before_wide = before(channels), before(channels)
        self.narrow = nn.Linear(num_bins, units, bias=False)
        self.wide = nn.Linear(units, num_bins, bias=False)
        self.before_second = before(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, in_channels, frequency, frames)` to `(batch, channels, frequency, frames)`.

        Without gradients, the input may be overwritten.
        """
        shortcut = self.shortcut(x)
        x = convolve(self.before_first(x, overwrite=True), self.first.weight)
        units = map_bins(self.before_narrow(x), self.narrow.weight)
        x = add_mapped_bins(x, self.before_wide(units, overwrite=True), self.wide.weight)
        x = self.before_second(x, overwrite=True)
        if not (has_onednn(x) and shortcut.is_contiguous(memory_format=torch.channels_last)):
            return shortcut + convolve(x, self.second.weight)
        add_convolved(shortcut, x, self.second.weight)
        return shortcut


class NormActivation(nn.Module):
    """Norm and activation of `(batch, channels, frequency, frames)`, before a convolution.

    Args:
        channels: Channels of the input.
        norm: Kind of norm.
        groups: Groups of the norm "group".
        activation: Name of the activation.
        elu_alpha: See `TFCTDFv3`.
    """

    def __init__(
        self, channels: int, norm: BlockNorm, groups: int, activation: Activation, elu_alpha: float
    ) -> None:
        super().__init__()
        if norm not in get_args(BlockNorm):
            raise UsageError(f"norm {norm!r} is none of {', '.join(get_args(BlockNorm))}")
        norms: dict[str, Callable[[], nn.Module]] = {
            "batch": lambda: nn.BatchNorm2d(channels),
            "instance": lambda: nn.InstanceNorm2d(channels, affine=True),
            "group": lambda: nn.GroupNorm(groups, channels),
            "none": nn.Identity,
        }
        self.norm = norms[norm]()
        self.activation = _activation(activation, elu_alpha)

    def forward(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Normalise and activate; keep the shape.

        Args:
            x: The input.
            overwrite: Without gradients, the input may be overwritten.
        """
        norm = self.norm
        if not isinstance(norm, nn.InstanceNorm2d):
            return self.activation(norm(x))
        last = x.is_contiguous(memory_format=torch.channels_last)
        if last and learns_on_cpu(x) and isinstance(self.activation, nn.GELU):
            return instance_norm_gelu(x, norm.weight, norm.bias, norm.eps)
        if last and has_onednn(x):
            result = x if overwrite else torch.empty_like(x)
            for rows, normalized in zip(
                *(rearrange(each, "b c f t -> b (f t) c") for each in (x, result)), strict=True
            ):
                self._normalize_rows(norm, rows, normalized)
            return result
        # Not by the module, which refuses a single value.
        return self.activation(
            torch.instance_norm(x, norm.weight, norm.bias, None, None, True, 0.0, norm.eps, False)
        )

    def _normalize_rows(self, norm: nn.InstanceNorm2d, rows: Tensor, result: Tensor) -> None:
        """Normalise and activate the points `(points, channels)` of one item, part by part in the caches."""
        size = max(1, _PART // rows.shape[1])
        # Rows may be bfloat16; what is added up over many is not.
        mean = torch.stack([part.sum(dim=0) for part in rows.split(size)]).float().sum(dim=0) / len(rows)
        power = torch.zeros_like(mean)
        for part, centred in zip(rows.split(size), result.split(size), strict=True):
            power += torch.sub(part, mean, out=centred).square().sum(dim=0)
        gain = norm.weight * torch.rsqrt(power / len(rows) + norm.eps)
        for part in result.split(size):
            torch.addcmul(norm.bias, part, gain, out=part)
            if isinstance(self.activation, nn.GELU):
                torch.ops.aten.gelu_(part)
            else:
                part.copy_(self.activation(part))


def _activation(name: Activation, elu_alpha: float) -> nn.Module:
    return nn.ELU(elu_alpha) if name == "elu" else make_activation(name)
