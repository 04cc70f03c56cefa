"""The intermediate blocks of Choi et al. (ISMIR 2020): what a U-Net does at each of its levels.

A *design* (TFC, TDC, TDF, TFC-TDF, TDC-RNN) says how a block is made, and builds one for given
channels and bins; the blocks themselves are modules on `(batch, channels, frequency, frames)`.

W. Choi, M. Kim, J. Chung, D. Lee, S. Jung: "Investigating U-Nets with various Intermediate Blocks for
Spectrogram-based Singing Voice Separation", ISMIR 2020.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.convolutions import Activation, make_activation
from soloist.networks.unet.dense_blocks import DenseConvolution
from soloist.resources import is_captured


class BlockDesign:
    """How the blocks of a U-Net are made.

    Attributes:
        activation: Name of the activation inside the blocks.
        frame_radius: Frames on either side that an output frame depends on; None where there is no bound.
    """

    activation: Activation
    frame_radius: int | None = 0

    def build(self, in_channels: int, channels: int, num_bins: int) -> nn.Module:
        """A block from `in_channels` to `channels`, for spectrograms of `num_bins` bins."""
        raise NotImplementedError


class TFC(BlockDesign):
    """Time-frequency convolutions: a dense block of 2-D convolutions.

    Args:
        layers: Convolutions of a block.
        kernel_frequency: Bins that a convolution sees, odd.
        kernel_time: Frames that a convolution sees, odd.
        activation: What follows each convolution and its norm.
    """

    def __init__(
        self,
        layers: int = 5,
        kernel_frequency: int = 3,
        kernel_time: int = 3,
        activation: Activation = "relu",
    ) -> None:
        if layers < 1 or kernel_frequency % 2 == 0 or kernel_time % 2 == 0:
            raise UsageError(
                f"a dense block needs layers >= 1 and odd kernels, "
                f"not {layers} layers of {kernel_frequency} x {kernel_time}"
            )
        self.layers = layers
        self.kernel = (kernel_frequency, kernel_time)
        self.activation = activation
        self.frame_radius = layers * (kernel_time // 2)

    def build(self, in_channels: int, channels: int, num_bins: int) -> nn.Module:
        """A dense block."""
        return DenseConvolution(in_channels, channels, self.layers, self.kernel, self.activation)


class TDC(TFC):
    """Time-distributed convolutions: a dense block along frequency that treats each frame alone.

    Args:
        layers: Convolutions of a block.
        kernel_frequency: Bins that a convolution sees, odd.
        activation: What follows each convolution and its norm.
    """

    def __init__(self, layers: int = 5, kernel_frequency: int = 3, activation: Activation = "relu") -> None:
        super().__init__(layers, kernel_frequency, 1, activation)


class TDF(BlockDesign):
    """Time-distributed fully connected layers: dependencies between all frequencies of a frame.

    Args:
        bottleneck_factor: The bins are mapped to `1 / bottleneck_factor` of them and back; None for a
            single layer without a bottleneck.
        minimum_units: Least units of the bottleneck.
        bias: Give the layers a bias, and their norms a gain and a shift of their own.
        activation: What follows each layer and its norm.
        keep_bands: Start from weights that average neighbouring bins into a unit and spread a unit over
            its bins, in place of random ones.
    """

    def __init__(
        self,
        bottleneck_factor: int | None = 16,
        minimum_units: int = 16,
        bias: bool = False,
        activation: Activation = "relu",
        keep_bands: bool = False,
    ) -> None:
        self.bottleneck_factor = bottleneck_factor
        self.minimum_units = minimum_units
        self.bias = bias
        self.activation = activation
        self.keep_bands = keep_bands

    def build_layers(
        self, channels: int, in_bins: int, out_bins: int, affine: bool | None = None
    ) -> nn.Sequential:
        """The layers alone, which keep the channels; the norms' gains follow `bias` if `affine` is None."""
        widths = [in_bins, out_bins]
        if self.bottleneck_factor is not None:
            widths.insert(1, max(out_bins // self.bottleneck_factor, self.minimum_units))
        return nn.Sequential(
            *(
                BandLayer(
                    channels,
                    before,
                    after,
                    activation=self.activation,
                    bias=self.bias,
                    affine=self.bias if affine is None else affine,
                    keep_bands=self.keep_bands,
                )
                for before, after in pairwise(widths)
            )
        )

    def build(self, in_channels: int, channels: int, num_bins: int) -> nn.Module:
        """The layers, and a 1 x 1 convolution where the channels change."""
        layers = self.build_layers(in_channels, num_bins, num_bins)
        if in_channels == channels:
            return layers
        return nn.Sequential(layers, nn.Conv2d(in_channels, channels, 1))


class TFCTDF(BlockDesign):
    """Time-frequency convolutions, to which a frequency transformation of their output is added.

    Args:
        layers: Convolutions of a block.
        kernel_frequency: Bins that a convolution sees, odd.
        kernel_time: Frames that a convolution sees, odd.
        bottleneck_factor: See `TDF`.
        minimum_units: See `TDF`.
        bias: See `TDF`.
        activation: What follows each layer and its norm.
        keep_bands: See `TDF`.
    """

    def __init__(
        self,
        layers: int = 5,
        kernel_frequency: int = 3,
        kernel_time: int = 3,
        bottleneck_factor: int | None = 16,
        minimum_units: int = 16,
        bias: bool = False,
        activation: Activation = "relu",
        keep_bands: bool = False,
    ) -> None:
        self.tfc = TFC(layers, kernel_frequency, kernel_time, activation)
        self.tdf = TDF(bottleneck_factor, minimum_units, bias, activation, keep_bands)
        self.activation = activation
        self.frame_radius = self.tfc.frame_radius

    def build(self, in_channels: int, channels: int, num_bins: int) -> nn.Module:
        """A dense block and its frequency transformation."""
        dense = self.tfc.build(in_channels, channels, num_bins)
        return DenseTransform(dense, self.tdf.build_layers(channels, num_bins, num_bins))


class TDCRNN(BlockDesign):
    """Time-distributed convolutions, to which a recurrent network along time is added.

    Each channel's spectrogram is a sequence of its own; the weights are shared by the channels.

    Args:
        layers: Convolutions of a block.
        kernel_frequency: Bins that a convolution sees, odd.
        rnn_factor: The hidden units, in each direction, are `1 / rnn_factor` of the bins.
        rnn_layers: Layers of the (bidirectional) GRU.
        rnn_minimum_units: Least hidden units.
        rnn_bias: Give the GRU biases.
        bottleneck_factor: See `TDF`, for the layers that bring the hidden units back to the bins.
        bias: Give these layers a bias.
        activation: What follows each layer and its norm.
    """

    frame_radius = None

    def __init__(
        self,
        layers: int = 5,
        kernel_frequency: int = 3,
        rnn_factor: int = 16,
        rnn_layers: int = 1,
        rnn_minimum_units: int = 16,
        rnn_bias: bool = False,
        bottleneck_factor: int | None = 16,
        bias: bool = False,
        activation: Activation = "relu",
    ) -> None:
        self.tdc = TDC(layers, kernel_frequency, activation)
        self.tdf = TDF(bottleneck_factor, bias=bias, activation=activation)
        self.rnn_factor = rnn_factor
        self.rnn_layers = rnn_layers
        self.rnn_minimum_units = rnn_minimum_units
        self.rnn_bias = rnn_bias
        self.activation = activation

    def build(self, in_channels: int, channels: int, num_bins: int) -> nn.Module:
        """A dense block and its recurrent transformation."""
        hidden = max(num_bins // self.rnn_factor, self.rnn_minimum_units)
        rnn = nn.GRU(
            num_bins, hidden, self.rnn_layers, bias=self.rnn_bias, batch_first=True, bidirectional=True
        )
        # Unlike those of a TDF block, these norms keep their gains whether or not there is a bias.
        transform = self.tdf.build_layers(channels, 2 * hidden, num_bins, affine=True)
        return RecurrentTransform(self.tdc.build(in_channels, channels, num_bins), channels, rnn, transform)


class BandLayer(nn.Module):
    """A fully connected layer over frequency, shared by all channels and frames, its norm and activation.

    Args:
        channels: Channels of input and output, which the norm tells apart.
        in_bins: Bins of the input.
        out_bins: Bins of the output.
        activation: What follows the norm.
        bias: Give the layer a bias.
        affine: Give the norm a gain and a shift.
        keep_bands: Start from the weights of `band_weight`.
    """

    def __init__(
        self,
        channels: int,
        in_bins: int,
        out_bins: int,
        *,
        activation: Activation,
        bias: bool,
        affine: bool,
        keep_bands: bool = False,
    ) -> None:
        super().__init__()
        self.keep_bands = keep_bands
        self.channels_last = False
        self.linear = nn.Linear(in_bins, out_bins, bias=bias)
        self.norm = nn.BatchNorm2d(channels, affine=affine)
        self.activation_name = activation
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, in_bins, frames)` to `(batch, channels, out_bins, frames)`."""
        # The weight from the left: frequency stays where it is and nothing is transposed.
        if self.channels_last and not is_captured():
            columns = torch.matmul(self.linear.weight, rearrange(x, "b c f t -> b f (t c)"))
            x = rearrange(columns, "b f (t c) -> b c f t", c=x.shape[1])
        else:
            x = torch.matmul(self.linear.weight, x)
        if self.linear.bias is not None:
            x = x + self.linear.bias[:, None]
        return self.activation(self.norm(x))

    def optimize(self) -> None:
        """Expect spectrograms that are laid out channels-last; activate in place."""
        self.channels_last = True
        self.activation = make_activation(self.activation_name, inplace=True)

    @torch.no_grad()
    def reset_to_bands(self) -> None:
        """Give the layer the weights of `band_weight`."""
        self.linear.weight.copy_(band_weight(self.linear.out_features, self.linear.in_features))


class DenseTransform(nn.Module):
    """A dense block, and a frequency transformation of its output added to it.

    Args:
        dense: The dense block.
        transform: The transformation, which keeps the shape.
    """

    def __init__(self, dense: nn.Module, transform: nn.Module) -> None:
        super().__init__()
        self.dense = dense
        self.transform = transform

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, in_channels, frequency, frames)` to `(batch, growth, frequency, frames)`."""
        x = self.dense(x)
        return x + self.transform(x)


class RecurrentTransform(nn.Module):
    """A dense block, and a transformation of its output that runs along time added to it.

    Args:
        dense: The dense block.
        channels: Channels of its output.
        rnn: Runs over `(sequences, frames, bins)`, one sequence for each channel.
        transform: Brings the hidden units back to the bins.
    """

    def __init__(self, dense: nn.Module, channels: int, rnn: nn.GRU, transform: nn.Module) -> None:
        super().__init__()
        self.dense = dense
        self.norm = nn.BatchNorm2d(channels)
        self.rnn = rnn
        self.transform = transform

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, in_channels, frequency, frames)` to `(batch, growth, frequency, frames)`."""
        x = self.norm(self.dense(x))
        hidden, _ = self.rnn(rearrange(x, "b c f t -> (b c) t f"))
        return x + self.transform(rearrange(hidden, "(b c) t h -> b c h t", b=x.shape[0]))


def band_weight(out_bins: int, in_bins: int) -> Tensor:
    """Weights `(out_bins, in_bins)` that keep the order of bands.

    Fewer outputs than inputs: an output adds up the inputs of its band; more: an input is spread over
    the outputs of its band. Scaled so that the energy of white noise is about kept; the identity for
    equal numbers.
    """
    fan = max(-(-out_bins // in_bins), -(-in_bins // out_bins))
    outputs, inputs = torch.arange(out_bins)[:, None], torch.arange(in_bins)
    fewer, more = inputs * out_bins // in_bins == outputs, outputs * in_bins // out_bins == inputs
    return (fewer if out_bins < in_bins else more).float() / fan**0.5
