"""Dense blocks: convolutions that each see the outputs of all before them."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from soloist.networks.layers import Activation, ConvNorm, make_activation, set_weight


class DenseConvolution(nn.Module):
    """Convolutions that each see all outputs before them, newest first, and the input.

    Args:
        in_channels: Channels of the input.
        growth: Channels of each convolution, and so of the output, which is the last one's.
        layers: Number of convolutions.
        kernel: Bins and frames that each sees, odd.
        activation: What follows each convolution and its norm.
    """

    def __init__(
        self, in_channels: int, growth: int, layers: int, kernel: tuple[int, int], activation: Activation
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.layers = nn.ModuleList(
            ConvNorm(nn.Conv2d(in_channels + growth * index, growth, kernel, padding=padding), activation)
            for index in range(layers)
        )
        self.paired: PairedConvolutions | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, in_channels, frequency, frames)` to `(batch, growth, frequency, frames)`."""
        if self.paired is not None:
            return self.paired(x)
        newest = self.layers[0](x)
        for layer in self.layers[1:]:
            x = torch.cat([newest, x], dim=1)
            newest = layer(x)
        return newest

    def optimize(self) -> None:
        """Fold the norms and compute the layers in pairs."""
        if self.paired is None:
            self.paired = PairedConvolutions([cast(ConvNorm, layer) for layer in self.layers])
            self.layers = nn.ModuleList()


class PairedConvolutions(nn.Module):
    """The convolutions of a dense block for inference: two at a time, without their norms.

    Both layers of a pair see everything before the pair, so one convolution computes their shares of that
    together: half the concatenations, and enough output channels to fill the processor's registers. The
    second layer then adds its share of the first.

    Args:
        layers: The layers of the dense block, in evaluation mode.
    """

    def __init__(self, layers: list[ConvNorm]) -> None:
        super().__init__()
        # An odd one out is the first, which costs least.
        odd = len(layers) % 2
        pairs = list(zip(layers[odd::2], layers[odd + 1 :: 2], strict=True))
        self.growth = layers[0].conv.out_channels
        self.alone = _shared_convolution(layers[0]) if odd else None
        self.shared = nn.ModuleList(_shared_convolution(*pair) for pair in pairs)
        self.between = nn.ModuleList(_convolution_between(*pair) for pair in pairs)
        self.activation = make_activation(layers[0].activation_name)
        self.activation_inplace = make_activation(layers[0].activation_name, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, in_channels, frequency, frames)` to `(batch, growth, frequency, frames)`."""
        newest = [] if self.alone is None else [self.activation_inplace(self.alone(x))]
        for shared, between in zip(self.shared, self.between, strict=True):
            x = torch.cat([*newest, x], dim=1) if newest else x
            shares = shared(x)
            first = self.activation(shares[:, : self.growth])
            second = between(first).add_(shares[:, self.growth :])
            newest = [self.activation_inplace(second), first]
        return newest[0]


def _shared_convolution(first: ConvNorm, second: ConvNorm | None = None) -> nn.Conv2d:
    """The shares of one or two layers in what lies before the first of them."""
    weight, bias = first.folded()
    if second is not None:
        second_weight, second_bias = second.folded()
        weight = torch.cat([weight, second_weight[:, -weight.shape[1] :]])
        bias = torch.cat([bias, second_bias])
    return _convolution(weight, bias)


def _convolution_between(first: ConvNorm, second: ConvNorm) -> nn.Conv2d:
    """The share of the second layer in the first one's output, which it sees before all else."""
    weight, _ = second.folded()
    return _convolution(weight[:, : first.conv.out_channels], None)


def _convolution(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    out_channels, in_channels, height, width = weight.shape
    padding = (height // 2, width // 2)
    # Without random weights to begin with: optimizing leaves the generator as it was.
    conv = cast(nn.Conv2d, skip_init(nn.Conv2d, in_channels, out_channels, (height, width), padding=padding))
    set_weight(conv, weight, bias)
    return conv
