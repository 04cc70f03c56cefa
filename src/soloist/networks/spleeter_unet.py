"""Spleeter's U-Nets: masks from magnitudes, by strided convolutions that halve and double both axes.

    magnitudes - conv -+- norm - conv -+- norm - ... - conv - deconv - norm -+- deconv - norm - head - mask
                       |               +-------------------------------------+
                       +------------------------ ... ------------------------------+

Each source has a network of its own. Skip connections carry convolutions as they are, before activation and
norm.

[1] R. Hennequin, A. Khlif, F. Voituret and M. Moussallam, "Spleeter: a fast and efficient music source
    separation tool with pre-trained models", Journal of Open Source Software 5(50), 2020.
[2] A. Jansson, E. Humphrey, N. Montecchio, R. Bittner, A. Kumar and T. Weyde, "Singing voice separation with
    deep U-Net convolutional networks", ISMIR 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.convolutions import (
    Activation,
    batch_norm_affine,
    make_activation,
    set_weight,
)
from soloist.networks.layers.pieces import cut_frames, join_frames
from soloist.networks.spectrogram_net import Mask
from soloist.resources import is_captured

DROPPED = 3
"""Layers of the decoder with dropout, from the bottleneck up."""

_NARROW = 4
"""Output channels up to which a plain convolution is faster than a transposed one."""
_LARGE = 2**18
"""Values of a weight from which a copy of it, stored channels-last, costs more memory than it saves time."""
_SLOPE = 0.2
_EPS = 1e-3
_MOMENTUM = 0.01


class SpleeterUNet(SpectralNetwork):
    """Masks in [0, 1] of several sources, by a separate U-Net for each [1].

    Both axes are halved once for each number in `filters`, and are padded with zeros to a multiple.

    Args:
        num_sources: Number of sources.
        channels: Channels of the mixture and of each source.
        num_bins: Frequencies of the spectrogram.
        num_input_bins: Frequencies of the input, from 0 Hz up, above which masks are zero. If None, all.
        num_frames: Frames of an input; longer spectrograms are cut into independent pieces. If None, inputs
            have any length.
        filters: Channels after each convolution of the encoder.
        encoder_activation: Activation after the norms of the encoder; the leaky ReLU has a slope of 0.2.
        decoder_activation: Activation before the norms of the decoder.
        mask_activation: "sigmoid" for each mask by itself, "softmax" for masks that sum to one.
        dropout: Dropout probability in the lower half of the decoder.
        fixed_norms: Keep the statistics of the norms in training, as the published weights were trained: each
            norm is a gain and a shift.
        unused_norm: Have a norm after the last convolution of the encoder, which nothing uses. The published
            files and parameter counts include it.

    Raises:
        UsageError: A number or an activation is out of range.
    """

    # Songs have magnitudes over a range that lower precisions would round at the first levels.
    full_precision: ClassVar[tuple[str, ...]] = (
        "branches.*.encoders.0",
        "branches.*.encoders.1",
        "branches.*.encoders.2",
        "branches.*.head",
    )

    source_lists: ClassVar[tuple[str, ...]] = ("branches",)

    def __init__(
        self,
        num_sources: int = 2,
        channels: int = 2,
        *,
        num_bins: int = 2049,
        num_input_bins: int | None = 1024,
        num_frames: int | None = None,
        filters: Sequence[int] = (16, 32, 64, 128, 256, 512),
        encoder_activation: Activation = "leaky_relu",
        decoder_activation: Activation = "relu",
        mask_activation: Literal["sigmoid", "softmax"] = "sigmoid",
        dropout: float = 0.5,
        fixed_norms: bool = False,
        unused_norm: bool = False,
    ) -> None:
        super().__init__()
        seen = num_bins if num_input_bins is None else num_input_bins
        if not 0 < seen <= num_bins:
            raise UsageError(f"num_input_bins {seen} must lie in 1..{num_bins} (num_bins)")
        if len(filters) < 2 or min(filters) < 1:
            raise UsageError(f"filters {list(filters)} must be two positive numbers or more")
        if num_frames is not None and num_frames < 1:
            raise UsageError(f"num_frames {num_frames} must be at least 1")
        self.num_bins = num_bins
        self.num_input_bins = seen
        self.num_frames = num_frames
        self.scale = 2 ** len(filters)
        norm = FixedNorm if fixed_norms else nn.BatchNorm2d
        self.branches = nn.ModuleList(
            Branch(channels, filters, encoder_activation, decoder_activation, dropout, norm, unused_norm)
            for _ in range(num_sources)
        )
        self.mask = Mask(mask_activation, num_sources)

    @property
    def receptive_field(self) -> int | None:
        """Frames on either side that an output frame can depend on; None if unbounded."""
        if self.num_frames is not None:
            return None
        depth = self.scale.bit_length() - 1
        radius = 0
        for frame in range(self.scale):
            # The head reaches three frames. Of the coarse frame n, a transposed convolution makes the fine
            # frames 2 n - 1 to 2 n + 3, of which a convolution makes the coarse frame.
            first, last = frame - 3, frame + 3
            for _ in range(depth):
                first, last = -(-(first - 3) // 2), (last + 1) // 2
            for _ in range(depth):
                first, last = 2 * first - 1, 2 * last + 3
            radius = max(radius, frame - first, last - frame)
        return radius

    @property
    def stride(self) -> int:
        """Shift of the input, in frames, that shifts the output by as many.

        With a fixed `num_frames` there is none: give the network inputs of that many frames.
        """
        return self.scale if self.num_frames is None else 1

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Estimate masks from magnitudes `(batch, channels, num_bins, frames)`.

        Returns:
            `(batch, num_sources * channels, num_bins, frames)`, the first source first.

        Raises:
            UsageError: The number of bins differs from `num_bins`.
        """
        if spectrogram.shape[-2] != self.num_bins:
            raise UsageError(
                f"the network is made for {self.num_bins} bins and was given {spectrogram.shape[-2]}"
            )
        pieces = cut_frames(spectrogram[:, :, : self.num_input_bins], self.num_frames)
        if is_captured() or torch.is_grad_enabled():
            masks = self.estimate_masks(pieces)
        else:
            # One after the other: less memory, and no more time.
            masks = torch.cat([self.estimate_masks(piece) for piece in pieces.split(1)])
        return F.pad(join_frames(masks, spectrogram), (0, 0, 0, self.num_bins - self.num_input_bins))

    def estimate_masks(self, pieces: Tensor) -> Tensor:
        """Masks `(pieces, num_sources * channels, num_input_bins, frames)` of magnitudes."""
        bins, frames = pieces.shape[-2:]
        x = F.pad(pieces, (0, -frames % self.scale, 0, -bins % self.scale))
        masks = self.mask(torch.cat([branch(x) for branch in self.branches], dim=1))[..., :bins, :]
        # In a graph, a slice would be fixed to the case of the example: frames to cut, or none.
        return F.pad(masks, (0, frames - masks.shape[-1])) if is_captured() else masks[..., :frames]


class Branch(nn.Module):
    """The U-Net of one source, from magnitudes to masks before their activation.

    Args:
        channels: Channels of the mixture and of the source.
        filters: See `SpleeterUNet`.
        encoder_activation: See `SpleeterUNet`.
        decoder_activation: See `SpleeterUNet`.
        dropout: See `SpleeterUNet`.
        norm: Class of the norms.
        unused_norm: See `SpleeterUNet`.
    """

    def __init__(
        self,
        channels: int,
        filters: Sequence[int],
        encoder_activation: Activation,
        decoder_activation: Activation,
        dropout: float,
        norm: type[nn.BatchNorm2d],
        unused_norm: bool,
    ) -> None:
        super().__init__()
        depth = len(filters)
        self.encoders = nn.ModuleList(
            Halving(*pair, encoder_activation, norm if level < depth - 1 or unused_norm else None)
            for level, pair in enumerate(pairwise([channels, *filters]))
        )
        outputs = [*reversed(filters[:-1]), 1]
        inputs = [filters[-1], *(2 * width for width in outputs[:-1])]
        self.decoders = nn.ModuleList(
            Doubling(*pair, decoder_activation, norm, dropout if level < DROPPED else 0.0)
            for level, pair in enumerate(zip(inputs, outputs, strict=True))
        )
        self.head = nn.Conv2d(1, channels, 4, padding=3, dilation=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frequency, frames)`, both a multiple of the scale, to the same shape."""
        skips: list[Tensor] = []
        for encoder in self.encoders[:-1]:
            assert isinstance(encoder, Halving)
            skips.append(encoder(x))
            x = encoder.activate(skips[-1])
        x = self.encoders[-1](x)
        for decoder in self.decoders:
            x = decoder(x)
            x = torch.cat([skips.pop(), x], dim=1) if skips else x
        return self.head(x)


class Halving(nn.Module):
    """Convolution over 5 x 5 points with stride 2, and the norm and the activation of its successor.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        activation: Name of the activation.
        norm: Class of the norm; None for none.
    """

    def __init__(
        self, inputs: int, outputs: int, activation: Activation, norm: type[nn.BatchNorm2d] | None
    ) -> None:
        super().__init__()
        # Padded by one point before and two behind: the first of these outputs is one too many.
        self.conv = nn.Conv2d(inputs, outputs, 5, stride=2, padding=3)
        self.norm = None if norm is None else norm(outputs, eps=_EPS, momentum=_MOMENTUM)
        self.activation = make_activation(activation, slope=_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, inputs, 2 frequencies, 2 frames)` to `(batch, outputs, frequencies, frames)`."""
        return convolve(self.conv, x)[..., 1:, 1:]

    def activate(self, halved: Tensor) -> Tensor:
        """Normalise and activate an output of `forward`, which stays as it is."""
        assert self.norm is not None
        return self.activation(self.norm(halved))

    def optimize(self) -> None:
        """Store a small weight channels-last, activate in place."""
        if not _is_large(self.conv):
            set_weight(self.conv, self.conv.weight.detach(), _bias(self.conv))
        self.activation = _in_place(self.activation)


class Doubling(nn.Module):
    """Transposed convolution over 5 x 5 points with stride 2, activation, norm and dropout.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        activation: Name of the activation.
        norm: Class of the norm.
        dropout: Dropout probability.
    """

    def __init__(
        self, inputs: int, outputs: int, activation: Activation, norm: type[nn.BatchNorm2d], dropout: float
    ) -> None:
        super().__init__()
        # Of the 2 n + 3 points, the first and the last two are cut.
        self.conv: nn.Conv2d | nn.ConvTranspose2d = nn.ConvTranspose2d(
            inputs, outputs, 5, stride=2, padding=1
        )
        self.activation = make_activation(activation, slope=_SLOPE)
        self.norm: nn.Module = norm(outputs, eps=_EPS, momentum=_MOMENTUM)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, inputs, frequencies, frames)` to `(batch, outputs, 2 frequencies, 2 frames)`."""
        doubled = convolve(self.conv, x)
        doubled = F.pixel_shuffle(doubled, 2) if isinstance(self.conv, nn.Conv2d) else doubled[..., :-1, :-1]
        return self.dropout(self.norm(self.activation(doubled)))

    def optimize(self) -> None:
        """Store a small weight channels-last; fold the norm, through a ReLU into the convolution."""
        if _is_large(self.conv):
            self.activation = _in_place(self.activation)
            return
        assert isinstance(self.norm, nn.BatchNorm2d)
        gain, shift = batch_norm_affine(self.norm)
        weight, bias = self.conv.weight.detach(), _bias(self.conv)
        if isinstance(self.activation, nn.ReLU):
            # gain * max(x, 0) + shift is gain * x + shift, cut off at the shift.
            weight, bias = weight * gain[:, None, None], bias * gain + shift
            self.norm, self.activation = Cutoff(gain, shift), nn.Identity()
        else:
            self.activation = _in_place(self.activation)
        if self.conv.out_channels <= _NARROW:
            weight, bias = _by_phases(weight), bias.repeat_interleave(4)
            self.conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        set_weight(self.conv, weight, bias)


class FixedNorm(nn.BatchNorm2d):
    """BatchNorm with fixed statistics: a gain and a shift for each channel, also in training."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, channels, frequency, frames)`."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class Cutoff(nn.Module):
    """ReLU with a gain and a shift, whose input has both already.

    Args:
        gain: Gain of each channel; a negative one makes the shift the largest value.
        shift: Smallest or largest value of each channel.
    """

    def __init__(self, gain: Tensor, shift: Tensor) -> None:
        super().__init__()
        largest = torch.finfo(shift.dtype).max
        self.register_buffer("low", torch.where(gain < 0, -largest, shift)[:, None, None], persistent=False)
        self.register_buffer("high", torch.where(gain > 0, largest, shift)[:, None, None], persistent=False)

    low: Tensor
    high: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Cut `(batch, channels, frequency, frames)`; in place, except in a graph."""
        return x.clamp(self.low, self.high) if is_captured() else x.clamp_(self.low, self.high)


def convolve(conv: nn.Conv2d | nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """Convolve `(batch, inputs, frequency, frames)`, stored channels-last except for a large weight."""
    layout = torch.contiguous_format if _is_large(conv) else torch.channels_last
    convolved: Tensor = conv(x.contiguous(memory_format=layout))
    return convolved


def _is_large(conv: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    return conv.weight.numel() >= _LARGE


def _by_phases(weight: Tensor) -> Tensor:
    """Convolution to the four points of each doubled point, in place of a transposed one.

    Args:
        weight: Weight of the transposed convolution, `(inputs, outputs, 5, 5)`.

    Returns:
        `(4 * outputs, inputs, 3, 3)`; `pixel_shuffle` puts the points in their places.
    """
    inputs, outputs = weight.shape[:2]
    # The point 2 n + phase takes the input n + i - 1 by the tap 3 - 2 i + phase.
    spread = weight.new_zeros(outputs, 2, 2, inputs, 3, 3)
    taps = [(phase, i, 3 - 2 * i + phase) for phase in range(2) for i in range(3) if 3 - 2 * i + phase >= 0]
    for (row, i, k), (column, j, m) in product(taps, taps):
        spread[:, row, column, :, i, j] = weight[:, :, k, m].T
    return spread.flatten(0, 2)


def _bias(conv: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias.detach()


def _in_place(activation: nn.Module) -> nn.Module:
    if isinstance(activation, nn.ReLU | nn.LeakyReLU | nn.ELU):
        activation.inplace = True
    return activation
