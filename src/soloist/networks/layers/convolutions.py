"""Layers that several networks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError

Activation = Literal["identity", "relu", "leaky_relu", "sigmoid", "tanh"]

EmbeddingActivation = Literal["sigmoid", "tanh", "relu", "softmax", "unit", "l1"]
"""What a vector goes through; "unit" and "l1" scale it to unit length, "softmax" is over its dimensions."""

EMBEDDING_ACTIVATIONS: dict[EmbeddingActivation, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "softmax": lambda vectors: vectors.softmax(dim=-1),
    "unit": lambda vectors: F.normalize(vectors, dim=-1),
    "l1": lambda vectors: F.normalize(vectors, p=1.0, dim=-1),
}
"""On vectors `(..., dimensions)`."""


def make_activation(name: Activation, *, inplace: bool = False) -> nn.Module:
    """An activation by its name; the leaky ReLU's slope is 0.01.

    Args:
        name: Its name.
        inplace: Overwrite the input where the activation can.

    Raises:
        UsageError: There is no such activation.
    """
    if name == "relu":
        return nn.ReLU(inplace)
    if name == "leaky_relu":
        return nn.LeakyReLU(inplace=inplace)
    others = {"identity": nn.Identity, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
    if name not in others:
        raise UsageError(f"activation {name!r} is none of {', '.join(get_args(Activation))}")
    return others[name]()


@torch.no_grad()
def batch_norm_affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The gain and the shift `(channels,)` that a BatchNorm applies in evaluation mode."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = torch.rsqrt(norm.running_var + norm.eps)
    gain = gain if norm.weight is None else gain * norm.weight
    shift = -norm.running_mean * gain
    return gain, shift if norm.bias is None else shift + norm.bias


class Whitening(nn.Module):
    """Shifts and scales each bin, for each source by values of its own.

    They begin as the statistics of a corpus, or as nothing, and are trained.

    Args:
        num_sources: Sources.
        bins: Frequencies.
    """

    def __init__(self, num_sources: int, bins: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(num_sources, bins))
        self.scale = nn.Parameter(torch.ones(num_sources, bins))

    def forward(self, x: Tensor) -> Tensor:
        """Whiten `(batch, channels, frequency, time)` into `(batch, sources * channels, frequency, time)`."""
        shift, scale = self.shift[:, None, :, None], self.scale[:, None, :, None]
        return rearrange((x[:, None] + shift) * scale, "b s c f t -> b (s c) f t")

    @torch.no_grad()
    def set_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Begin with the mean and the standard deviation of each bin, both `(frequency,)`.

        Bins in which next to nothing sounds are not blown up: the least deviation is 1e-4 of the largest.
        """
        self.shift.copy_((-mean).expand_as(self.shift))
        floor = (1e-4 * deviation.max()).clamp(min=torch.finfo(deviation.dtype).tiny)
        self.scale.copy_((1 / deviation.clamp(min=floor)).expand_as(self.scale))


class ConvNorm(nn.Module):
    """A 2-D (transposed) convolution, BatchNorm and an activation, on `(batch, channels, frequency, frames)`.

    Args:
        conv: The convolution.
        activation: Name of what follows the norm.
    """

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, activation: Activation = "identity") -> None:
        super().__init__()
        self.conv = conv
        self.norm: nn.Module = nn.BatchNorm2d(conv.out_channels)
        self.activation_name: Activation = activation
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, normalise, activate."""
        return self.activation(self.norm(self.conv(x)))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the convolution with the norm (in evaluation mode) folded into them."""
        weight = self.conv.weight.detach()
        bias = weight.new_zeros(self.conv.out_channels) if self.conv.bias is None else self.conv.bias.detach()
        if not isinstance(self.norm, nn.BatchNorm2d):
            return weight, bias
        gain, shift = batch_norm_affine(self.norm)
        if isinstance(self.conv, nn.ConvTranspose2d):
            # The weight has an axis of the inputs of all groups, and one of the outputs of a group.
            groups = self.conv.groups
            gains = rearrange(gain, "(g o) -> g 1 o 1 1", g=groups)
            return (weight.unflatten(0, (groups, -1)) * gains).flatten(0, 1), bias * gain + shift
        return weight * gain.view(-1, 1, 1, 1), bias * gain + shift

    def optimize(self) -> None:
        """Fold the norm into the convolution, lay its weight out for channels-last, activate in place."""
        set_weight(self.conv, *self.folded())
        self.norm = nn.Identity()
        self.activation = make_activation(self.activation_name, inplace=True)


def set_weight(conv: nn.Conv2d | nn.ConvTranspose2d, weight: Tensor, bias: Tensor | None) -> None:
    """Give a convolution other weights, fixed and laid out for channels-last inference."""
    weight = weight.contiguous(memory_format=torch.channels_last)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)


def swap_axes(conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Make a convolution take what it took with its last two axes swapped."""
    conv.weight = nn.Parameter(conv.weight.detach().transpose(-1, -2), requires_grad=False)
    for name in ("kernel_size", "stride", "padding", "output_padding", "dilation"):
        setattr(conv, name, getattr(conv, name)[::-1])


def initialize(
    module: nn.Module, activation: Activation, *, rule: Literal["xavier", "kaiming", "layer"]
) -> None:
    """Draw every weight of two axes or more from a normal distribution; biases stay as they are.

    Args:
        module: Its parameters and those of its parts are drawn anew.
        activation: What the layers are followed by, which decides for the rule "layer".
        rule: Xavier (Glorot and Bengio 2010), Kaiming (He et al. 2015), or, for "layer", Kaiming before
            a (leaky) ReLU and Xavier otherwise.
    """
    kaiming = rule == "kaiming" or (rule == "layer" and activation in ("relu", "leaky_relu"))
    for weight in module.parameters():
        if weight.ndim < 2:
            continue
        if kaiming:
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
        else:
            nn.init.xavier_normal_(weight)
