"""SpectrogramNet: masks from magnitudes, by a U-Net of convolutions that halve and double both axes.

    magnitudes - norm - stack ------------------------------------ stack - head - norm - mask
                         pool - stack -------------------- stack - up
                                 pool - ... bottleneck ... - up

A stack is three convolutions. The bottleneck is a stack here, and a recurrent network in
`spectrogram_net_recurrent`. Mask estimators of Auralflow [1], after the U-Net of [2].

[1] K. Zohoury, "Auralflow: A lightweight BSS model toolkit for PyTorch", 2022.
[2] A. Jansson, E. Humphrey, N. Montecchio, R. Bittner, A. Kumar and T. Weyde, "Singing voice separation with
    deep U-Net convolutional networks", ISMIR 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pad

from soloist.errors import UsageError
from soloist.networks.layers.contracts import SpectralNetwork
from soloist.networks.layers.convolutions import ConvNorm, Whitening, batch_norm_affine, set_weight
from soloist.networks.layers.pieces import cut_frames, join_frames

LEVELS = 5
"""Number of levels, each of which halves both axes."""

DROPPED = 3
"""Stacks of the decoder with dropout, from the bottleneck up."""

MaskActivation = Literal[
    "sigmoid", "relu", "hardtanh", "tanh", "prelu", "selu", "elu", "softmax", "channel_softmax"
]


class SpectrogramNet(SpectralNetwork):
    """Masks in [0, 1] by a convolutional U-Net ("SpectrogramNetSimple" of [1]).

    Args:
        channels: Channels of the mixture and of each source.
        num_sources: Number of sources.
        num_bins: Frequencies of the spectrogram, 32 or more.
        num_frames: Frames of an input, 32 or more: the input norm then has a gain for each frame, and longer
            spectrograms are cut into pieces. If None, inputs have any length, and the norm has gains for bins
            only.
        hidden_channels: Channels of the first stack; each level doubles them.
        normalize_input: Normalise each spectrogram to zero mean and unit deviation.
        normalize_output: Shift and scale each bin before the mask activation.
        leak: Slope of leaky ReLUs in the encoder; 0 for SELUs, as in all other layers.
        dropout: Dropout probability of channels in the lower half of the decoder.
        mask_activation: Activation of the mask, which is then clipped to [0, 1]. "softmax" is over the
            sources, "channel_softmax" over the channels of each source.

    Raises:
        UsageError: Too few bins, frames or channels, a negative leak, or an unknown activation.
    """

    def __init__(
        self,
        channels: int = 1,
        num_sources: int = 1,
        *,
        num_bins: int = 513,
        num_frames: int | None = None,
        hidden_channels: int = 16,
        normalize_input: bool = True,
        normalize_output: bool = True,
        leak: float = 0.0,
        dropout: float = 0.4,
        mask_activation: MaskActivation = "sigmoid",
    ) -> None:
        super().__init__()
        for name, size in (("num_bins", num_bins), ("num_frames", num_frames)):
            if size is not None and size < 2**LEVELS:
                raise UsageError(f"{name} must be {2**LEVELS} or more, not {size}")
        if hidden_channels < 1 or leak < 0:
            raise UsageError(f"hidden_channels {hidden_channels} or leak {leak:g} is out of range")
        self.num_bins = num_bins
        self.num_frames = num_frames
        self.widths = [hidden_channels * 2**level for level in range(LEVELS + 1)]
        up_widths = list(pairwise(reversed(self.widths)))

        self.input_norm = JointNorm(channels, num_bins, num_frames) if normalize_input else nn.Identity()
        self.encoders = nn.ModuleList(
            ConvStack(wide, wider, leak) for wide, wider in pairwise([channels, *self.widths[:-1]])
        )
        self.pool = nn.MaxPool2d(2)
        self.bottleneck: nn.Module = ConvStack(*self.widths[-2:])
        self.ups = nn.ModuleList(Up(wider, wide) for wider, wide in up_widths)
        self.decoders = nn.ModuleList(ConvStack(wider, wide) for wider, wide in up_widths)
        self.dropout = nn.Dropout2d(dropout)
        self.head = ConvNorm(nn.Conv2d(hidden_channels, num_sources * channels, 1))
        self.output_norm = Whitening(1, num_bins) if normalize_output else nn.Identity()
        self.mask = Mask(mask_activation, num_sources)

    @property
    def receptive_field(self) -> int | None:
        """Frames on either side that an output frame can depend on; None if unbounded."""
        if not isinstance(self.input_norm, nn.Identity) or not isinstance(self.bottleneck, ConvStack):
            return None
        if self.num_frames is not None:
            return None
        radius = ConvStack.radius
        for _ in range(LEVELS):
            # A coarse frame covers two fine ones, and the taps of `Up` reach one coarse frame farther.
            radius = 2 * radius + 3 + 2 * ConvStack.radius
        return radius

    @property
    def stride(self) -> int:
        """Shift of the input, in frames, that shifts the output by as many.

        With a fixed `num_frames` there is none: give the network inputs of that many frames.
        """
        return 2**LEVELS if self.num_frames is None else 1

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Estimate masks from magnitudes `(batch, channels, num_bins, frames)`.

        Returns:
            `(batch, num_sources * channels, num_bins, frames)`, the first source first.

        Raises:
            UsageError: The number of bins differs from `num_bins`.
        """
        coded, skips = self.encode(self.cut(spectrogram))
        return self.join(self.decode(self.bottleneck(coded), skips), spectrogram)

    def cut(self, spectrogram: Tensor) -> Tensor:
        """Cut a spectrogram into pieces of `num_frames` frames, the last one padded with zeros.

        If `num_frames` is None, the spectrogram is one piece.

        Args:
            spectrogram: `(batch, channels, num_bins, frames)`.

        Returns:
            `(pieces, channels, num_bins, num_frames)`, the pieces of the first item first.

        Raises:
            UsageError: The number of bins differs from `num_bins`.
        """
        if spectrogram.shape[-2] != self.num_bins:
            raise UsageError(
                f"the network is made for {self.num_bins} bins and was given {spectrogram.shape[-2]}"
            )
        return cut_frames(spectrogram, self.num_frames)

    def join(self, masks: Tensor, spectrogram: Tensor) -> Tensor:
        """Join the masks of the pieces `(pieces, outputs, num_bins, num_frames)` of a spectrogram."""
        return join_frames(masks, spectrogram)

    def encode(self, pieces: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Run the encoder.

        Args:
            pieces: Output of `cut`, `(pieces, channels, num_bins, frames)`.

        Returns:
            Input of the bottleneck, `(pieces, 16 * hidden_channels, num_bins / 32, frames / 32)`, and the
            skip connections, the finest first.
        """
        x = self.input_norm(pieces)
        if self.num_frames is None:
            x = pad(x, (0, -x.shape[-1] % 2**LEVELS))
        skips = []
        for encoder in self.encoders:
            skips.append(encoder(x))
            x = self.pool(skips[-1])
        return x, skips

    def decode(self, latent: Tensor, skips: list[Tensor]) -> Tensor:
        """Run the decoder.

        Args:
            latent: Output of the bottleneck, `(pieces, 32 * hidden_channels, num_bins / 32, frames / 32)`.
            skips: Skip connections of `encode`.

        Returns:
            Masks `(pieces, num_sources * channels, num_bins, frames)`.
        """
        x = latent
        for level, (up, decoder) in enumerate(zip(self.ups, self.decoders, strict=True)):
            skip = skips[-1 - level]
            x = decoder(torch.cat([up(x, skip.shape[-2:]), skip], dim=1))
            x = self.dropout(x) if level < DROPPED else x
        return self.mask(self.output_norm(self.head(x)))


class JointNorm(nn.Module):
    """Normalisation of each item over all points, with a gain and a shift for each channel and bin.

    Args:
        channels: Number of channels.
        num_bins: Number of frequencies.
        num_frames: Number of frames, with separate gains for each. If None, any number, with shared gains.
    """

    def __init__(self, channels: int, num_bins: int, num_frames: int | None) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, num_bins, num_frames or 1))
        self.shift = nn.Parameter(torch.zeros(channels, num_bins, num_frames or 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, channels, frequency, frames)`."""
        return layer_norm(x, x.shape[1:]) * self.gain + self.shift


class ConvStack(nn.Sequential):
    """Three convolutions over 3 x 3 points, each followed by an activation and BatchNorm.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        leak: Slope of leaky ReLUs; 0 for SELUs.
    """

    radius = 3

    def __init__(self, inputs: int, outputs: int, leak: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs, outputs):
            conv = nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
            if leak > 0:
                nn.init.kaiming_normal_(conv.weight, a=leak)
            else:
                nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
            layers += [conv, nn.LeakyReLU(leak) if leak > 0 else nn.SELU(), nn.BatchNorm2d(outputs)]
        super().__init__(*layers)


class Up(nn.Module):
    """Transposed convolution over 5 x 5 points that doubles both axes, and BatchNorm.

    Args:
        inputs: Input channels.
        outputs: Output channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 5, stride=2)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """Map `(batch, inputs, frequency, frames)` to `(batch, outputs, *size)`.

        Args:
            x: Coarse input.
            size: Frequencies and frames of the output, each `2 n` or `2 n + 1` for `n` points of the input.
        """
        # The overhang of the taps at the ends is cut. An odd axis, whose last point was not pooled, begins
        # one point earlier than an even one.
        first, second = (1 if length % 2 else 2 for length in size)
        x = self.conv(x)[..., first : first + size[0], second : second + size[1]]
        return self.norm(x)

    def optimize(self) -> None:
        """Fold the norm into the convolution."""
        assert isinstance(self.norm, nn.BatchNorm2d)
        assert self.conv.bias is not None
        gain, shift = batch_norm_affine(self.norm)
        weight = self.conv.weight.detach() * gain[:, None, None]
        set_weight(self.conv, weight, self.conv.bias.detach() * gain + shift)
        self.norm = nn.Identity()


class Mask(nn.Module):
    """Activation and clipping of planes `(batch, sources * channels, frequency, frames)` to masks in [0, 1].

    Args:
        activation: Name of the activation; see `SpectrogramNet`.
        num_sources: Number of sources.

    Raises:
        UsageError: The activation is unknown, or a softmax over a single source.
    """

    def __init__(self, activation: MaskActivation, num_sources: int) -> None:
        super().__init__()
        if activation not in get_args(MaskActivation):
            raise UsageError(
                f"mask_activation {activation!r} is none of {', '.join(get_args(MaskActivation))}"
            )
        if activation == "softmax" and num_sources == 1:
            raise UsageError("the softmax over a single source is a mask of ones: take another activation")
        self.num_sources = num_sources
        self.axis = {"softmax": 1, "channel_softmax": 2}.get(activation)
        self.activation = _ACTIVATIONS[activation]() if self.axis is None else nn.Softmax(self.axis)

    def forward(self, planes: Tensor) -> Tensor:
        """Map planes `(batch, sources * channels, frequency, frames)` to masks of the same shape."""
        masks = self.activation(rearrange(planes, "b (s c) f t -> b s c f t", s=self.num_sources))
        return rearrange(masks, "b s c f t -> b (s c) f t").clamp(0, 1)


_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "hardtanh": lambda: nn.Hardtanh(0.0, 1.0),
    "tanh": nn.Tanh,
    "prelu": nn.PReLU,
    "selu": nn.SELU,
    "elu": nn.ELU,
}
