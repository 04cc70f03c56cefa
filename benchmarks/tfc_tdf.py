"""Speed of TFC-TDF, compared with an eager transcription of the paper's formulas.

Both map the same frames of a stereo spectrogram alternately in one process. The transcription computes
convolution, BatchNorm and ReLU one after the other, concatenates in dense blocks, and applies fully connected
layers to the bins on the last axis.

    python benchmarks/tfc_tdf.py [--frames 128] [--threads 2] [--rounds 15]
"""

from __future__ import annotations

import argparse
import copy

import torch
from torch import Tensor, nn

from soloist.networks import TFCTDF, UNet
from soloist.networks.layers.convolutions import ConvNorm
from soloist.networks.unet.intermediate_blocks import DenseTransform
from soloist.separators import Optimizable
from tdc17 import measure


def turned(conv: nn.Conv2d | nn.ConvTranspose2d) -> nn.Module:
    """Copy a convolution with exchanged axes of frames and bins."""
    conv = copy.deepcopy(conv)
    conv.weight = nn.Parameter(conv.weight.detach().transpose(-1, -2).contiguous())
    conv.kernel_size, conv.stride = conv.kernel_size[::-1], conv.stride[::-1]
    conv.padding = tuple(conv.padding)[::-1]
    return conv


def plain_layer(layer: ConvNorm) -> nn.Module:
    """Apply convolution, norm and activation."""
    activation = nn.ReLU() if layer.activation_name == "relu" else nn.Identity()
    return nn.Sequential(turned(layer.conv), copy.deepcopy(layer.norm), activation)


class PlainBlock(nn.Module):
    """Dense block of convolutions plus fully connected layers over the bins."""

    def __init__(self, block: DenseTransform) -> None:
        super().__init__()
        self.dense = nn.ModuleList(plain_layer(layer) for layer in block.dense.layers)
        self.transform = nn.Sequential(
            *(
                nn.Sequential(copy.deepcopy(layer.linear), copy.deepcopy(layer.norm), nn.ReLU())
                for layer in block.transform
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames, bins)` to the same with the channels of the block."""
        newest = self.dense[0](x)
        for layer in list(self.dense)[1:]:
            x = torch.cat([newest, x], dim=1)
            newest = layer(x)
        return newest + self.transform(newest)


class PlainUNet(nn.Module):
    """U-Net around the blocks, on `(batch, 4, frames, bins)`, with the weights of Soloist's network.

    Args:
        network: Soloist's network, in evaluation mode, not optimised.
    """

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.entry = plain_layer(network.entry)
        self.encoders = nn.ModuleList(PlainBlock(block) for block in network.encoders)
        self.downs = nn.ModuleList(plain_layer(layer) for layer in network.downs)
        self.middle = PlainBlock(network.middle)
        self.ups = nn.ModuleList(plain_layer(layer) for layer in network.ups)
        self.decoders = nn.ModuleList(PlainBlock(block) for block in network.decoders)
        self.exit = turned(network.exit)

    def forward(self, x: Tensor) -> Tensor:
        """Map the spectrogram of the mixture to that of the target."""
        x = self.entry(x)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(torch.cat([up(x), skips.pop()], dim=1))
        return self.exit(x)


def make_network() -> UNet:
    """Build the default TFC-TDF with random weights and statistics, as after a training."""
    torch.manual_seed(0)
    network = UNet(TFCTDF()).eval()
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            nn.init.normal_(buffer, std=0.1)
        elif name.endswith("running_var"):
            nn.init.uniform_(buffer, 0.5, 2.0)
    return network


def main() -> None:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = make_network()
    plain = PlainUNet(network).eval()
    for module in list(network.modules()):
        if isinstance(module, Optimizable):
            module.optimize()
    mixture = torch.randn(1, 4, arguments.frames, 1025)
    ours = mixture.transpose(-1, -2).contiguous()
    with torch.inference_mode():
        expected = plain(mixture).transpose(-1, -2)
        error = (network(ours) - expected).abs().max() / expected.abs().max()
        seconds = measure(
            {"plain": lambda: plain(mixture), "default": lambda: network(ours)}, arguments.rounds
        )
    print(f"{arguments.frames} frames, {arguments.threads} threads, median of {arguments.rounds}")
    for name, value in seconds.items():
        print(f"{name:8s} {value * 1000:7.1f} ms")
    print(f"ratio    {seconds['default'] / seconds['plain']:7.3f}   (difference {error:.1e} of the peak)")


if __name__ == "__main__":
    main()
