"""SpectrogramNet: masks from magnitudes, by a U-Net of convolutions that halve and double both axes.

    magnitudes - norm - stack ------------------------------------ stack - head - norm - mask
                         pool - stack -------------------- stack - up
                                 pool - ... bottleneck ... - up

A stack is three convolutions; between the halves there is another one here, and a recurrent network in
`spectrogram_net_recurrent`. These are the mask estimators of Auralflow [1], after the U-Net of [2].

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

LEVELS = 5
"""How often both axes are halved."""

DROPPED = 3
"""Stacks on the way up, from below, after which channels are left out in training."""

MaskActivation = Literal[
    "sigmoid", "relu", "hardtanh", "tanh", "prelu", "selu", "elu", "softmax", "channel_softmax"
]


class SpectrogramNet(SpectralNetwork):
    """Masks from 0 to 1 by a convolutional U-Net ("SpectrogramNetSimple" of [1]).

    Args:
        channels: Channels of the mixture and of each source.
        num_sources: Sources.
        num_bins: Frequencies of the spectrogram, 32 or more.
        num_frames: Frames that are seen at once, 32 or more: each of them then has a gain of its own in the
            norm of the input, and longer spectrograms are cut into pieces. None for any number, with gains
            for the bins only.
        hidden_channels: Channels of the first stack; they double from level to level.
        normalize_input: Bring each spectrogram to zero mean and unit deviation.
        normalize_output: Shift and scale each bin before the mask is made.
        leak: Slope of leaky rectified linear units on the way down; 0 for SELUs there as everywhere else.
        dropout: Probability with which a channel of the lower half of the way up is left out in training.
        mask_activation: What makes the mask; what it leaves below 0 or above 1 is cut. "softmax" is over the
            sources, "channel_softmax" over the channels of each.

    Raises:
        UsageError: There are too few bins, frames or channels, the leak is negative, or no such activation.
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
        """Frames on either side that an output frame can depend on; None where there is no bound."""
        if not isinstance(self.input_norm, nn.Identity) or not isinstance(self.bottleneck, ConvStack):
            return None
        if self.num_frames is not None:
            return None
        radius = ConvStack.radius
        for _ in range(LEVELS):
            # A coarse frame stands for two fine ones, and the taps of `Up` reach one coarse frame farther.
            radius = 2 * radius + 3 + 2 * ConvStack.radius
        return radius

    @property
    def stride(self) -> int:
        """Frames by which an input may be shifted so that the output only shifts with it.

        A network for a number of frames does not shift at all: best give it as many.
        """
        return 2**LEVELS if self.num_frames is None else 1

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Masks for magnitudes `(batch, channels, num_bins, frames)`.

        Returns:
            `(batch, num_sources * channels, num_bins, frames)`, those of the first source first.

        Raises:
            UsageError: Another number of bins than the network was made for.
        """
        coded, skips = self.encode(self.cut(spectrogram))
        return self.join(self.decode(self.bottleneck(coded), skips), spectrogram)

    def cut(self, spectrogram: Tensor) -> Tensor:
        """Pieces of the number of frames that the network is made for, as items `(pieces, channels, ...)`.

        The last one ends with zeros. Where the number is any, the spectrogram is one piece.
        """
        if spectrogram.shape[-2] != self.num_bins:
            raise UsageError(
                f"the network is made for {self.num_bins} bins and was given {spectrogram.shape[-2]}"
            )
        if self.num_frames is None:
            return spectrogram
        whole = pad(spectrogram, (0, -spectrogram.shape[-1] % self.num_frames))
        return rearrange(whole, "b c f (n t) -> (b n) c f t", t=self.num_frames)

    def join(self, masks: Tensor, spectrogram: Tensor) -> Tensor:
        """The masks of the pieces of a spectrogram, `(pieces, ...)`, as that of the whole."""
        whole = rearrange(masks, "(b n) c f t -> b c f (n t)", b=spectrogram.shape[0])
        return whole[..., : spectrogram.shape[-1]]

    def encode(self, pieces: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The way down.

        Args:
            pieces: What `cut` gives.

        Returns:
            What enters the bottleneck, `(pieces, 16 * hidden_channels, frequency / 32, frames / 32)`, and
            what skips it, the finest first.
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
        """The way up.

        Args:
            latent: What leaves the bottleneck, with twice the channels of what entered it.
            skips: What `encode` gives.

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
    """Brings each item to zero mean and unit deviation over all of its points; then a gain and a shift.

    Args:
        channels: Channels.
        num_bins: Frequencies.
        num_frames: Frames, each with gains of its own; None for any number, with the same gains.
    """

    def __init__(self, channels: int, num_bins: int, num_frames: int | None) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, num_bins, num_frames or 1))
        self.shift = nn.Parameter(torch.zeros(channels, num_bins, num_frames or 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(batch, channels, frequency, frames)`."""
        return layer_norm(x, x.shape[1:]) * self.gain + self.shift


class ConvStack(nn.Sequential):
    """Three convolutions over 3 x 3 points, each with its activation and then BatchNorm.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        leak: Slope of leaky rectified linear units; 0 for SELUs.
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
    """A transposed convolution over 5 x 5 points that doubles both axes, and BatchNorm.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 5, stride=2)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """Map `(batch, inputs, frequency, frames)` to a size of twice as much, or one more, on each axis."""
        # What the taps reach beyond the ends is cut. An odd axis, whose last point was not pooled, begins one
        # earlier than an even one.
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
    """Makes masks from 0 to 1 of planes `(batch, sources * channels, frequency, frames)`.

    Args:
        activation: What makes them; see `SpectrogramNet`.
        num_sources: Sources.

    Raises:
        UsageError: There is no such activation, or it leaves nothing to decide.
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
        """The masks, of the same shape."""
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
