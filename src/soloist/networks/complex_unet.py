"""Complex U-Nets: masks by convolutions with complex weights, on the bins of a filterbank of Fourier filters.

    parts of bins - encoder - encoder - ... - (recurrence) - decoder (+) - ... - decoder (+) - mask

[1] H.-S. Choi, J.-H. Kim, J. Huh, A. Kim, J.-W. Ha and K. Lee, "Phase-aware speech enhancement with deep
    complex U-Net", ICLR 2019.
[2] Y. Hu, Y. Liu, S. Lv, M. Xing, S. Zhang, Y. Fu, J. Wu, B. Zhang and L. Xie, "DCCRN: Deep complex
    convolution recurrent network for phase-aware speech enhancement", Interspeech 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.networks.layers.contracts import MaskNetwork

Parts = tuple[Tensor, Tensor]
"""Real and imaginary parts."""

MaskBound = Literal["tanh", "sigmoid", "none"]
"""Bound of a mask: tanh of its magnitude, sigmoids of its parts, or none."""

_TINY = 1e-8
"""Added to the power of a mask."""


class ComplexLayer(nn.Module):
    """Linear layer with complex weights, as two real ones.

    Biases of the two enter as their difference and their sum.

    Args:
        make: Makes a real layer.
    """

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.real, self.imaginary = make(), make()

    def forward(self, parts: Parts) -> Parts:
        """Map real and imaginary parts."""
        real, imaginary = parts
        return (
            self.real(real) - self.imaginary(imaginary),
            self.real(imaginary) + self.imaginary(real),
        )


class ByPart(nn.Module):
    """Real layers on the real part and on the imaginary part.

    Args:
        make: Makes a layer.
    """

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.real, self.imaginary = make(), make()

    def forward(self, parts: Parts) -> Parts:
        """Map real and imaginary parts."""
        return self.real(parts[0]), self.imaginary(parts[1])


class ComplexConvNorm(nn.Module):
    """Complex convolution or transposed one, two norms and two activations.

    Args:
        conv: Makes one of the two real convolutions.
        channels: Output channels.
        learned_slope: Learn the slope of the activations; otherwise it is 0.01.
    """

    def __init__(self, conv: Callable[[], nn.Module], channels: int, learned_slope: bool) -> None:
        super().__init__()
        self.conv = ComplexLayer(conv)
        self.norm = ByPart(lambda: nn.BatchNorm2d(channels))
        self.activation = ByPart(nn.PReLU if learned_slope else nn.LeakyReLU)

    def forward(self, parts: Parts) -> Parts:
        """Map `(batch, channels, bins, frames)`, both parts."""
        output: Parts = self.activation(self.norm(self.conv(parts)))
        return output


class PlainLSTM(nn.Module):
    """LSTM of one direction that returns its output alone.

    Args:
        inputs: Input features.
        hidden_size: Output features.
    """

    def __init__(self, inputs: int, hidden_size: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(inputs, hidden_size, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, frames, inputs)`."""
        output: Tensor = self.rnn(x)[0]
        return output


class ComplexRecurrence(nn.Module):
    """Two complex LSTMs along the frames, and a complex linear layer back.

    Args:
        features: Channels times bins.
        hidden_size: Features of an LSTM.
    """

    def __init__(self, features: int, hidden_size: int) -> None:
        super().__init__()
        self.rnns = nn.Sequential(
            ComplexLayer(lambda: PlainLSTM(features, hidden_size)),
            ComplexLayer(lambda: PlainLSTM(hidden_size, hidden_size)),
        )
        self.linear = ComplexLayer(lambda: nn.Linear(hidden_size, features))

    def forward(self, parts: Parts) -> Parts:
        """Map `(batch, channels, bins, frames)`, both parts, to the same shape."""
        bins = parts[0].shape[2]
        rows = tuple(rearrange(part, "b c f t -> b t (c f)") for part in parts)
        real, imaginary = (
            rearrange(part, "b t (c f) -> b c f t", f=bins) for part in self.linear(self.rnns(rows))
        )
        return real, imaginary


@dataclass(frozen=True)
class ComplexLevel:
    """Level of a complex U-Net, for the encoder and the decoder that mirrors it.

    Attributes:
        encoded: Output channels of the encoder.
        decoded: Output channels of the decoder; of the lowest level, not used: the masks.
        kernel: Taps in bins and in frames.
        stride: Bins and frames that become one.
    """

    encoded: int
    decoded: int
    kernel: tuple[int, int]
    stride: tuple[int, int]


class ComplexUNet(MaskNetwork):
    """Features of the sources, by complex masks for the features of a `FreeFilterbank` of Fourier filters.

    With a recurrence [2], convolutions have no padding in time and look one frame ahead in each encoder;
    the number of frames is any that is greater than that of the levels. Without [1], they are centred, and
    frames of zeros stand behind the others up to a number that can be divided.

    Args:
        levels: Levels from the first encoder on.
        num_bins: Bins of the filterbank, from 0 Hz to half the sample rate, both included.
        num_outputs: Number of sources.
        hidden_size: Features of the recurrence behind the encoders, which leaves out the highest bin; None
            for none.
        bound: Bound of the masks.
        trimmed: Leave the frames out that are too many, in place of zeros: estimates are silent there.

    Raises:
        UsageError: The bins cannot be divided by the strides, or the bound is unknown.
    """

    def __init__(
        self,
        levels: Sequence[ComplexLevel],
        num_bins: int = 257,
        num_outputs: int = 1,
        hidden_size: int | None = None,
        bound: MaskBound = "tanh",
        trimmed: bool = False,
    ) -> None:
        super().__init__()
        if bound not in get_args(MaskBound):
            raise UsageError(f"bound {bound!r} is none of {', '.join(get_args(MaskBound))}")
        self.recurrent = hidden_size is not None
        self.bins = num_bins - self.recurrent
        self.bound, self.trimmed = bound, trimmed
        self.num_outputs = num_outputs
        self.shrink = 1
        below = self.bins
        for level in levels:
            self.shrink *= level.stride[1]
            if (below - (not self.recurrent)) % level.stride[0]:
                raise UsageError(f"{num_bins} bins cannot be divided by the strides of the levels")
            below = (below - (not self.recurrent)) // level.stride[0] + (not self.recurrent)
        encoded = [1, *(level.encoded for level in levels)]
        self.encoders = nn.ModuleList(
            ComplexConvNorm(self._conv(level, encoded[index]), level.encoded, self.recurrent)
            for index, level in enumerate(levels)
        )
        self.recurrence = (
            ComplexRecurrence(below * encoded[-1], hidden_size) if hidden_size is not None else None
        )
        inputs = [levels[-1].encoded * (1 + self.recurrent)]
        inputs += [
            above.decoded + level.encoded for above, level in zip(levels[:0:-1], levels[-2::-1], strict=True)
        ]
        *others, lowest = zip(reversed(levels), inputs, strict=True)
        self.decoders = nn.ModuleList(
            ComplexConvNorm(self._deconv(level, count, level.decoded), level.decoded, self.recurrent)
            for level, count in others
        )
        self.output = ComplexLayer(self._deconv(lowest[0], lowest[1], num_outputs, bias=True))

    def _padding(self, level: ComplexLevel) -> tuple[int, int]:
        bins, frames = level.kernel
        return bins // 2, 0 if self.recurrent else frames // 2

    def _conv(self, level: ComplexLevel, inputs: int) -> Callable[[], nn.Module]:
        sizes = (level.kernel, level.stride, self._padding(level))
        return lambda: nn.Conv2d(inputs, level.encoded, *sizes, bias=False)

    def _deconv(
        self, level: ComplexLevel, inputs: int, outputs: int, bias: bool = False
    ) -> Callable[[], nn.Module]:
        more = (int(self.recurrent), 0)
        return lambda: nn.ConvTranspose2d(
            inputs, outputs, level.kernel, level.stride, self._padding(level), more, bias=bias
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(batch, 2 * num_bins, frames)`, real parts first, to those of the sources.

        Returns:
            `(batch, outputs, 2 * num_bins, frames)`.
        """
        spectrum = features.unflatten(1, (2, -1))
        fitted = self._fit(spectrum[:, :, : self.bins])
        real, imaginary = self._bound(self._masks((fitted[:, :1], fitted[:, 1:])))
        missing = (0, features.shape[-1] - real.shape[-1], 0, spectrum.shape[2] - self.bins)
        real, imaginary = pad(real, missing), pad(imaginary, missing)
        mixed_real, mixed_imaginary = spectrum[:, :1], spectrum[:, 1:]
        return torch.cat(
            [
                mixed_real * real - mixed_imaginary * imaginary,
                mixed_real * imaginary + mixed_imaginary * real,
            ],
            dim=2,
        )

    def _fit(self, spectrum: Tensor) -> Tensor:
        """Bring `(batch, 2, bins, frames)` to a number of frames that the network can divide."""
        frames = spectrum.shape[-1]
        if self.recurrent:
            return pad(spectrum, (0, max(0, len(self.encoders) + 1 - frames)))
        beyond = (frames - 1) % self.shrink
        if self.trimmed and frames > self.shrink:
            return spectrum[..., : frames - beyond]
        return pad(spectrum, (0, -beyond % self.shrink))

    def _masks(self, x: Parts) -> Parts:
        """Masks `(batch, outputs, bins, frames)`, both parts, before the bound."""
        skips = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
        if self.recurrence is None:
            skips.pop()
        else:
            x = _concatenate(self.recurrence(x), skips.pop())
        for decoder in self.decoders:
            x = _concatenate(decoder(x), skips.pop())
        masks: Parts = self.output(x)
        return masks

    def _bound(self, masks: Parts) -> Parts:
        real, imaginary = masks
        if self.bound == "sigmoid":
            return real.sigmoid(), imaginary.sigmoid()
        power = real.square() + imaginary.square()
        magnitude = (power + _TINY).sqrt()
        magnitude = magnitude.tanh() if self.bound == "tanh" else magnitude
        scale = magnitude / power.clamp(min=_TINY**2).sqrt()
        return real * scale, imaginary * scale


def _concatenate(first: Parts, second: Parts) -> Parts:
    return torch.cat([first[0], second[0]], dim=1), torch.cat([first[1], second[1]], dim=1)
