"""Activations, whitening, and convolutions with BatchNorm that fold for inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.networks.layers.onednn import add_into, has_onednn, lowered
from soloist.resources import is_captured

Activation = Literal["identity", "relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh"]

EmbeddingActivation = Literal["sigmoid", "tanh", "relu", "softmax", "unit", "l1"]
"""Activation of an embedding; "unit" and "l1" scale it to unit length, "softmax" is over its dimensions."""

EMBEDDING_ACTIVATIONS: dict[EmbeddingActivation, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "softmax": lambda vectors: vectors.softmax(dim=-1),
    "unit": lambda vectors: F.normalize(vectors, dim=-1),
    "l1": lambda vectors: F.normalize(vectors, p=1.0, dim=-1),
}
"""Functions of vectors `(..., dimensions)`."""


def make_activation(name: Activation, *, inplace: bool = False, slope: float = 0.01) -> nn.Module:
    """Make an activation from its name.

    Args:
        name: Name of the activation.
        inplace: Overwrite the input, if the activation can.
        slope: Slope of the leaky ReLU.

    Raises:
        UsageError: The name is unknown.
    """
    if name == "relu":
        return nn.ReLU(inplace)
    if name == "leaky_relu":
        return nn.LeakyReLU(slope, inplace)
    if name == "elu":
        return nn.ELU(inplace=inplace)
    others = {"identity": nn.Identity, "gelu": nn.GELU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
    if name not in others:
        raise UsageError(f"activation {name!r} is none of {', '.join(get_args(Activation))}")
    return others[name]()


@torch.no_grad()
def batch_norm_affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Gain and shift `(channels,)` of a BatchNorm in evaluation mode."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = torch.rsqrt(norm.running_var + norm.eps)
    gain = gain if norm.weight is None else gain * norm.weight
    shift = -norm.running_mean * gain
    return gain, shift if norm.bias is None else shift + norm.bias


def make_norm(channels: int, groups: int | None, affine: bool = True) -> nn.Module:
    """Make the norm of a spectrogram's channels.

    Args:
        channels: Channels of `(batch, channels, frequency, frames)`.
        groups: Groups of a group norm; None for BatchNorm.
        affine: Give the norm a gain and a shift.
    """
    return (
        nn.BatchNorm2d(channels, affine=affine)
        if groups is None
        else nn.GroupNorm(groups, channels, affine=affine)
    )


class Whitening(nn.Module):
    """Trainable shift and scale of each bin, separate for each source.

    Initial values are the statistics of a corpus (`set_statistics`) or the identity.

    Args:
        num_sources: Number of sources.
        bins: Number of frequencies.
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
        """Initialise with the mean and the standard deviation of each bin, both `(frequency,)`.

        The least deviation is 1e-4 of the largest, so that nearly silent bins are not amplified.
        """
        self.shift.copy_((-mean).expand_as(self.shift))
        floor = (1e-4 * deviation.max()).clamp(min=torch.finfo(deviation.dtype).tiny)
        self.scale.copy_((1 / deviation.clamp(min=floor)).expand_as(self.scale))


class ConvNorm(nn.Module):
    """Convolution or transposed one, norm and activation, on `(batch, channels, frequency, frames)`.

    Args:
        conv: The convolution.
        activation: Name of the activation.
        groups: Groups of a group norm; None for BatchNorm.
    """

    def __init__(
        self,
        conv: nn.Conv2d | nn.ConvTranspose2d,
        activation: Activation = "identity",
        groups: int | None = None,
    ) -> None:
        super().__init__()
        self.conv = conv
        self.norm = make_norm(conv.out_channels, groups)
        self.activation_name: Activation = activation
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, in_channels, frequency, frames)` to `(batch, out_channels, frequency, frames)`."""
        return self.activation(self.norm(self.conv(x)))

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the convolution with the norm (in evaluation mode) folded in."""
        weight = self.conv.weight.detach()
        bias = weight.new_zeros(self.conv.out_channels) if self.conv.bias is None else self.conv.bias.detach()
        if not isinstance(self.norm, nn.BatchNorm2d):
            return weight, bias
        gain, shift = batch_norm_affine(self.norm)
        if isinstance(self.conv, nn.ConvTranspose2d):
            # First axis of the weight: inputs of all groups. Second axis: outputs of one group.
            groups = self.conv.groups
            gains = rearrange(gain, "(g o) -> g 1 o 1 1", g=groups)
            return (weight.unflatten(0, (groups, -1)) * gains).flatten(0, 1), bias * gain + shift
        return weight * gain.view(-1, 1, 1, 1), bias * gain + shift

    def optimize(self) -> None:
        """Fold a BatchNorm into the convolution, store the weight channels-last, activate in place."""
        set_weight(self.conv, *self.folded())
        if isinstance(self.norm, nn.BatchNorm2d):
            self.norm = nn.Identity()
        self.activation = make_activation(self.activation_name, inplace=True)


def map_bins(x: Tensor, weight: Tensor) -> Tensor:
    """Linear layer over frequency, shared by all channels and frames; keeps the memory layout.

    Args:
        x: `(batch, channels, in_bins, frames)`.
        weight: `(out_bins, in_bins)`.

    Returns:
        `(batch, channels, out_bins, frames)`.
    """
    # The weight on the left: no axis is transposed, and channels-last is one product for each item.
    if not is_captured() and x.is_contiguous(memory_format=torch.channels_last):
        # Not `matmul`, which would copy the input.
        columns = torch.bmm(weight.expand(len(x), -1, -1), rearrange(x, "b c f t -> b f (t c)"))
        return rearrange(columns, "b f (t c) -> b c f t", c=x.shape[1])
    return torch.matmul(weight, x)


def add_mapped_bins(total: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Sum of `total` and `map_bins(x, weight)`; where there are no gradients, `total` may be overwritten.

    Args:
        total: `(batch, channels, out_bins, frames)`.
        x: `(batch, channels, in_bins, frames)`.
        weight: `(out_bins, in_bins)`.
    """
    last = torch.channels_last
    if not (
        has_onednn(x) and x.is_contiguous(memory_format=last) and total.is_contiguous(memory_format=last)
    ):
        return add_into(map_bins(x, weight), total)
    x, weight = lowered(x), lowered(weight)
    if total.dtype != x.dtype:
        return add_into(total, map_bins(x, weight))
    # The product adds to the sum: no tensor for its result.
    for columns, inputs in zip(
        *(rearrange(each, "b c f t -> b f (t c)") for each in (total, x)), strict=True
    ):
        columns.addmm_(weight, inputs)
    return total


def set_weight(conv: nn.Conv2d | nn.ConvTranspose2d, weight: Tensor, bias: Tensor | None) -> None:
    """Replace the weights of a convolution by fixed ones, stored channels-last for inference."""
    weight = weight.contiguous(memory_format=torch.channels_last)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)


def swap_axes(conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Transpose a convolution, for inputs with swapped last two axes."""
    conv.weight = nn.Parameter(conv.weight.detach().transpose(-1, -2), requires_grad=False)
    for name in ("kernel_size", "stride", "padding", "output_padding", "dilation"):
        setattr(conv, name, getattr(conv, name)[::-1])


def initialize(
    module: nn.Module, activation: Activation, *, rule: Literal["xavier", "kaiming", "layer"]
) -> None:
    """Draw every weight of two axes or more from a normal distribution; leave biases alone.

    Args:
        module: Module whose parameters are drawn.
        activation: Activation after the layers, which decides for the rule "layer".
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
