"""Intermediate blocks of Choi et al. (ISMIR 2020), for the levels of a U-Net.

A *design* (TFC, TDC, TDF, TFC-TDF, TDC-RNN) holds the options of a block and builds one for given channels
and bins. Blocks are modules on `(batch, channels, frequency, frames)`.

W. Choi, M. Kim, J. Chung, D. Lee and S. Jung, "Investigating U-Nets with various intermediate blocks for
spectrogram-based singing voice separation", ISMIR 2020.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.networks.layers.convolutions import (
    Activation,
    batch_norm_affine,
    make_activation,
    make_norm,
    map_bins,
)
from soloist.networks.layers.onednn import add_into, has_onednn
from soloist.networks.unet.dense_blocks import DenseConvolution


class BlockDesign:
    """Design of the blocks of a U-Net.

    Attributes:
        activation: Name of the activation inside the blocks.
        frame_radius: Frames on either side that an output frame depends on; None if unbounded.
    """

    activation: Activation
    frame_radius: int | None = 0

    def build(self, in_channels: int, channels: int, num_bins: int) -> nn.Module:
        """Build a block from `in_channels` to `channels`, for spectrograms of `num_bins` bins."""
        raise NotImplementedError


class TFC(BlockDesign):
    """Time-frequency convolutions: a dense block of 2-D convolutions.

    Args:
        layers: Convolutions of a block.
        kernel_frequency: Bins of a kernel, odd.
        kernel_time: Frames of a kernel, odd.
        activation: Activation after each convolution and norm.
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
        """Build a dense block."""
        return DenseConvolution(in_channels, channels, self.layers, self.kernel, self.activation)


class TDC(TFC):
    """Time-distributed convolutions: a dense block along frequency, separate for each frame.

    Args:
        layers: Convolutions of a block.
        kernel_frequency: Bins of a kernel, odd.
        activation: Activation after each convolution and norm.
    """

    def __init__(self, layers: int = 5, kernel_frequency: int = 3, activation: Activation = "relu") -> None:
        super().__init__(layers, kernel_frequency, 1, activation)


class TDF(BlockDesign):
    """Time-distributed fully connected layers: dependencies between all frequencies of a frame.

    Args:
        bottleneck_factor: Ratio of bins to units of the bottleneck. If None, one layer without a bottleneck.
        minimum_units: Fewest units of the bottleneck.
        bias: Give the layers a bias, and their norms a gain and a shift.
        activation: Activation after each layer and norm.
        keep_bands: Start from weights that average neighbouring bins into a unit and spread a unit over
            its bins, instead of random weights.
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
        """Build the layers, which keep the channels; `affine` gives the norms gains, None means as `bias`."""
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
        """Build the layers, and a 1 x 1 convolution if the channels change."""
        layers = self.build_layers(in_channels, num_bins, num_bins)
        if in_channels == channels:
            return layers
        return nn.Sequential(layers, nn.Conv2d(in_channels, channels, 1))


class TFCTDF(BlockDesign):
    """Time-frequency convolutions plus a frequency transformation of their output.

    Args:
        layers: Convolutions of a block.
        kernel_frequency: Bins of a kernel, odd.
        kernel_time: Frames of a kernel, odd.
        bottleneck_factor: See `TDF`.
        minimum_units: See `TDF`.
        bias: See `TDF`.
        activation: Activation after each layer and norm.
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
        """Build a dense block and the frequency transformation of its output."""
        dense = self.tfc.build(in_channels, channels, num_bins)
        return DenseTransform(dense, self.tdf.build_layers(channels, num_bins, num_bins))


class TDCRNN(BlockDesign):
    """Time-distributed convolutions plus a recurrent network along time on their output.

    The spectrogram of each channel is a sequence of its own; channels share the weights.

    Args:
        layers: Convolutions of a block.
        kernel_frequency: Bins of a kernel, odd.
        rnn_factor: Ratio of bins to hidden units, in each direction.
        rnn_layers: Layers of the (bidirectional) GRU.
        rnn_minimum_units: Fewest hidden units.
        rnn_bias: Give the GRU biases.
        bottleneck_factor: See `TDF`, for the layers from the hidden units back to the bins.
        bias: Give the layers back to the bins a bias.
        activation: Activation after each layer and norm.
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
        """Build a dense block and the recurrent transformation of its output."""
        hidden = max(num_bins // self.rnn_factor, self.rnn_minimum_units)
        rnn = nn.GRU(
            num_bins, hidden, self.rnn_layers, bias=self.rnn_bias, batch_first=True, bidirectional=True
        )
        # Norms have gains with and without a bias, unlike the norms of a TDF block.
        transform = self.tdf.build_layers(channels, 2 * hidden, num_bins, affine=True)
        return RecurrentTransform(self.tdc.build(in_channels, channels, num_bins), channels, rnn, transform)


class BandLayer(nn.Module):
    """Fully connected layer over frequency, shared by all channels and frames, with norm and activation.

    Args:
        channels: Channels of input and output; the norm has statistics for each.
        in_bins: Bins of the input.
        out_bins: Bins of the output.
        activation: Activation after the norm.
        bias: Give the layer a bias.
        affine: Give the norm a gain and a shift.
        keep_bands: Start from the weights of `band_weight`.
        groups: Groups of a group norm; None for BatchNorm.
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
        groups: int | None = None,
    ) -> None:
        super().__init__()
        self.keep_bands = keep_bands
        self.linear = nn.Linear(in_bins, out_bins, bias=bias)
        self.norm = make_norm(channels, groups, affine)
        self.activation_name = activation
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, in_bins, frames)` to `(batch, channels, out_bins, frames)`."""
        x = map_bins(x, self.linear.weight)
        if self.linear.bias is not None:
            x = add_into(x, self.linear.bias[:, None])
        if isinstance(self.norm, nn.BatchNorm2d) and not self.training and has_onednn(x):
            gain, shift = batch_norm_affine(self.norm)
            return self.activation(torch.addcmul(shift[:, None, None], x, gain[:, None, None], out=x))
        return self.activation(self.norm(x))

    def optimize(self) -> None:
        """Activate in place."""
        self.activation = make_activation(self.activation_name, inplace=True)

    @torch.no_grad()
    def reset_to_bands(self) -> None:
        """Give the layer the weights of `band_weight`."""
        self.linear.weight.copy_(band_weight(self.linear.out_features, self.linear.in_features))


class DenseTransform(nn.Module):
    """Dense block plus a frequency transformation of its output.

    Args:
        dense: Dense block.
        transform: Transformation that keeps the shape.
    """

    def __init__(self, dense: nn.Module, transform: nn.Module) -> None:
        super().__init__()
        self.dense = dense
        self.transform = transform

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, in_channels, frequency, frames)` to `(batch, growth, frequency, frames)`."""
        x = self.dense(x)
        return add_into(x, self.transform(x))


class RecurrentTransform(nn.Module):
    """Dense block plus a recurrent transformation of its output along time.

    Args:
        dense: Dense block.
        channels: Output channels of the dense block.
        rnn: GRU on `(sequences, frames, bins)`, one sequence for each channel.
        transform: Layers from the hidden units back to the bins.
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

    With fewer outputs than inputs, an output sums the inputs of a band; with more, an input is spread over
    the outputs of a band. The scale roughly keeps the energy of white noise. The identity for equal numbers.
    """
    fan = max(-(-out_bins // in_bins), -(-in_bins // out_bins))
    outputs, inputs = torch.arange(out_bins)[:, None], torch.arange(in_bins)
    fewer, more = inputs * out_bins // in_bins == outputs, outputs * in_bins // out_bins == inputs
    return (fewer if out_bins < in_bins else more).float() / fan**0.5
