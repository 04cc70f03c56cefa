"""Dense blocks: convolutions on the concatenated outputs of all convolutions before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from soloist.networks.layers.convolutions import Activation, ConvNorm, make_activation
from soloist.networks.layers.onednn import add_convolution, has_onednn


class DenseConvolution(nn.Module):
    """Dense block: each convolution takes all outputs so far, newest first, and the input.

    The output is that of the last convolution.

    Args:
        in_channels: Channels of the input.
        growth: Output channels of each convolution.
        layers: Number of convolutions.
        kernel: Bins and frames of a kernel, odd.
        activation: Activation after each convolution and norm.
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
        """Fold the norms, and compute the layers in pairs."""
        if self.paired is None:
            self.paired = PairedConvolutions([cast(ConvNorm, layer) for layer in self.layers])
            self.layers = nn.ModuleList()


class PairedConvolutions(nn.Module):
    """Convolutions of a dense block for inference: two at a time, with folded norms.

    Both layers of a pair take all outputs before the pair, so one convolution computes this part of both,
    with enough output channels to fill the registers of the processor. A second convolution adds the part of
    the second layer that depends on the first.

    Args:
        layers: Layers of the dense block, in evaluation mode.
    """

    def __init__(self, layers: list[ConvNorm]) -> None:
        super().__init__()
        # With an odd number, the first layer stays alone: it costs least.
        odd = len(layers) % 2
        pairs = list(zip(layers[odd::2], layers[odd + 1 :: 2], strict=True))
        self.in_channels = layers[0].conv.in_channels
        self.growth = layers[0].conv.out_channels
        self.alone = self._shared(layers[0]) if odd else None
        self.shared = nn.ModuleList(self._shared(*pair) for pair in pairs)
        self.between = nn.ModuleList(self._between(*pair) for pair in pairs)
        self.activation = make_activation(layers[0].activation_name)
        self.activation_inplace = make_activation(layers[0].activation_name, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, in_channels, frequency, frames)` to `(batch, growth, frequency, frames)`."""
        seen = [x]
        if self.alone is not None:
            seen.append(self.activation_inplace(self.alone(seen)))
        for shared, between in zip(self.shared, self.between, strict=True):
            shares = shared(seen)
            first = self.activation(shares[:, : self.growth])
            second = between([first]).add_(shares[:, self.growth :])
            seen += [first, self.activation_inplace(second)]
        return seen[-1]

    def _shared(self, first: ConvNorm, second: ConvNorm | None = None) -> PartedConvolution:
        """Convolution of one or two layers over everything before the first of them."""
        weight, bias = first.folded()
        in_channels = first.conv.in_channels
        if second is not None:
            second_weight, second_bias = second.folded()
            weight = torch.cat([weight, second_weight[:, -in_channels:]])
            bias = torch.cat([bias, second_bias])
        before = (in_channels - self.in_channels) // self.growth
        return PartedConvolution(weight, bias, [self.in_channels, *[self.growth] * before])

    def _between(self, first: ConvNorm, second: ConvNorm) -> PartedConvolution:
        """Convolution of the second layer over the output of the first, its newest input."""
        weight, _ = second.folded()
        return PartedConvolution(weight[:, : self.growth], None, [self.growth])


class PartedConvolution(nn.Module):
    """Convolution with fixed weights over several tensors, as if concatenated, the last one first.

    On a CPU nothing is concatenated: the convolution of each part adds to the sum in place.

    Args:
        weight: `(out_channels, in_channels, height, width)`, for an output as large as the input.
        bias: `(out_channels,)`.
        sizes: Channels of each part, the first one first.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, sizes: list[int]) -> None:
        super().__init__()
        self.padding = [size // 2 for size in weight.shape[2:]]
        self.bias = None if bias is None else _fixed(bias)
        self.weights = nn.ParameterList(
            _fixed(part.contiguous(memory_format=torch.channels_last))
            for part in reversed(weight.split(sizes[::-1], dim=1))
        )

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        """Convolve parts `(batch, channels, height, width)` to `(batch, out_channels, height, width)`."""
        if len(parts) > 1 and not has_onednn(parts[0]):
            weight = torch.cat(list(reversed(self.weights)), dim=1)
            return conv2d(torch.cat(list(reversed(parts)), dim=1), weight, self.bias, 1, self.padding)
        total = conv2d(parts[0], self.weights[0], self.bias, 1, self.padding)
        for part, weight in zip(parts[1:], self.weights[1:], strict=True):
            add_convolution(total, part, weight, self.padding)
        return total


def _fixed(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)
