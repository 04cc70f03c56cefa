"""Speed and memory of MDX23C, SCNet and MDX-Net, compared with their authors' code.

Both run the same weights on one chunk of noise, alternately in one process. The originals of MDX23C and SCNet
are read from a folder with the package `msst` (0.1.0); that of MDX-Net is a plain transcription:

    pip download --no-deps msst==0.1.0 && unzip -d PEERS msst-*.whl
    python benchmarks/mdx.py scnet --peers PEERS [--threads 2] [--rounds 5] [--precision bfloat16]

`--memory ours|theirs` runs one of the two alone and prints by how much the process grew.
"""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from soloist.inference import PRECISIONS, TorchEngine
from soloist.networks import ConvTDFNet
from soloist.networks.layers.convolutions import ConvNorm
from soloist.networks.unet.intermediate_blocks import BandLayer, DenseTransform
from soloist.resources import peak_memory, resident_memory
from soloist.separators import Separator, SpectralSeparator
from soloist.transforms import STFT
from soloist.zoo.importers import mdx23c, scnet
from tdc17 import measure

Pair = tuple[Callable[[Tensor], Tensor], Separator, int]
"""The original and the separator with the same weights, and samples of a chunk."""

SCNET = {"audio": {"chunk_size": 485100}, "model": {"sources": ["drums", "bass", "other", "vocals"]}}


class Settings(dict):
    """Mapping whose keys are attributes, too, as the original reads its YAML."""

    def __getattr__(self, name: str) -> object:
        """Value of a key; None if there is none."""
        value = self.get(name)
        return Settings(value) if isinstance(value, dict) else value


def mdx23c_settings(channels: int) -> Settings:
    """Settings of the published vocals models; fewer channels for a shorter run."""
    return Settings(
        audio={"n_fft": 8192, "hop_length": 1024, "dim_f": 4096, "num_channels": 2, "chunk_size": 261120},
        model={
            "act": "gelu",
            "bottleneck_factor": 4,
            "growth": channels,
            "norm": "InstanceNorm",
            "num_blocks_per_scale": 2,
            "num_channels": channels,
            "num_scales": 5,
            "num_subbands": 4,
            "scale": [2, 2],
        },
        training={"instruments": ["vocals", "other"], "target_instrument": None},
    )


def make_scnet(arguments: argparse.Namespace) -> Pair:
    """SCNet small."""
    from msst.models.scnet.scnet import SCNet

    original = SCNet().eval()
    state = original.state_dict()
    ours = scnet.make_separator(scnet.from_options(SCNET, state), state)
    # The original appends zeros to an even number of frames; the separator gets them, too.
    return Shortened(original, 485100), ours, 475 * 1024


class Shortened(nn.Module):
    """A network that sees the first samples of a mixture `(batch, channels, samples)` only."""

    def __init__(self, network: nn.Module, samples: int) -> None:
        super().__init__()
        self.network, self.samples = network, samples

    def forward(self, mixture: Tensor) -> Tensor:
        """Estimates of the first samples."""
        estimates: Tensor = self.network(mixture[..., : self.samples])
        return estimates


def make_mdx23c(arguments: argparse.Namespace) -> Pair:
    """MDX23C of the published vocals models."""
    utils = types.ModuleType("msst.utils.model_utils")
    utils.prefer_target_instrument = lambda config: config.training.instruments
    sys.modules["msst.utils.model_utils"] = utils
    from msst.models.mdx23c_tfc_tdf_v3 import TFC_TDF_net

    settings = mdx23c_settings(arguments.channels)
    original = TFC_TDF_net(settings).eval()
    ours = mdx23c.make_separator(mdx23c.from_options(settings), original.state_dict())
    return original, ours, 1024 * (arguments.frames - 1)


def make_mdxnet(arguments: argparse.Namespace) -> Pair:
    """MDX-Net of Inst_HQ_3's size, and its formulas one after the other on `(frames, bins)`."""
    network = ConvTDFNet(num_bins=3073, num_input_bins=3072, growth=48).eval()
    ours = SpectralSeparator(
        STFT(6144, 1024),
        network,
        sources=["vocals"],
        sample_rate=44100,
        plane_order="channels",
        chunk_frames=256,
    )
    plain = PlainConvTDFNet(network)

    def original(mixture: Tensor) -> Tensor:
        spectrum = ours.transform(mixture)
        planes = ours.represent(spectrum)[:, :, :3072]
        output = nn.functional.pad(plain(planes), (0, 0, 0, 1))
        return ours.synthesize(ours.finish(output, spectrum), mixture.shape[-1])

    return original, ours, 1024 * (arguments.frames - 1)


class PlainConvTDFNet(nn.Module):
    """ConvTDFNet as its authors compute it: bins on the last axis, each operation by itself."""

    def __init__(self, network: ConvTDFNet) -> None:
        super().__init__()
        self.entry, self.exit = plain(network.entry), network.exit
        self.encoders = nn.ModuleList(PlainBlock(block) for block in network.encoders)
        self.downs = nn.ModuleList(plain(layer) for layer in network.downs)
        self.middle = PlainBlock(network.middle)
        self.ups = nn.ModuleList(plain(layer) for layer in network.ups)
        self.decoders = nn.ModuleList(PlainBlock(block) for block in network.decoders)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, 4, bins, frames)`."""
        x = self.entry(x).transpose(-1, -2)
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(up(x) * skips.pop())
        return self.exit(x.transpose(-1, -2))


class PlainBlock(nn.Module):
    """Chain of convolutions, and fully connected layers over the last axis."""

    def __init__(self, block: DenseTransform) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(plain(layer) for layer in block.dense))
        self.transform = nn.Sequential(*(plain_bands(layer) for layer in block.transform))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames, bins)`."""
        x = self.dense(x)
        return x + self.transform(x)


def plain(layer: ConvNorm) -> nn.Module:
    """Convolution with exchanged axes, norm and activation."""
    conv = layer.conv
    weight = nn.Parameter(conv.weight.detach().transpose(-1, -2).contiguous())
    copied = type(conv)(
        conv.in_channels, conv.out_channels, conv.kernel_size[::-1], conv.stride, conv.padding
    )
    copied.weight, copied.bias = weight, conv.bias
    return nn.Sequential(copied, layer.norm, nn.ReLU()).eval()


def plain_bands(layer: BandLayer) -> nn.Module:
    """Fully connected layer over the last axis, norm and activation."""
    return nn.Sequential(layer.linear, layer.norm, nn.ReLU()).eval()


def add_peers(parser: argparse.ArgumentParser) -> None:
    """Add the options of the makers, and find the originals."""
    parser.add_argument("--peers", type=use_peers, help="folder with the package msst")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels", type=int, default=128, help="of MDX23C")
    parser.add_argument("--frames", type=int, default=256, help="of a chunk of MDX23C and MDX-Net")


def use_peers(folder: str) -> str:
    """Let networks of the package msst be imported from a folder, without the rest of the package."""
    for name in ("msst", "msst.models"):
        package = types.ModuleType(name)
        package.__path__ = [str(Path(folder) / name.replace(".", "/"))]
        sys.modules[name] = package
    return folder


MAKERS = {"scnet": make_scnet, "mdx23c": make_mdx23c, "mdxnet": make_mdxnet}


def growth(run: Callable[[Tensor], Tensor], mixture: Tensor) -> float:
    """Peak memory of a run above the memory before it, MB; on Linux, which can forget an earlier peak."""
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_memory()
    run(mixture)
    return peak_memory() - before


def main() -> None:
    """Print the medians and their ratio, or the peak memory of one of both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("system", choices=MAKERS)
    add_peers(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", choices=["ours", "theirs"])
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    original, ours, samples = MAKERS[arguments.system](arguments)
    mixture = 0.1 * torch.randn(1, 2, samples)
    if arguments.system == "scnet":
        mixture[..., 485100:] = 0
    run = TorchEngine(ours, "cpu", arguments.precision)
    with torch.inference_mode():
        if arguments.memory:
            alone = run if arguments.memory == "ours" else original
            print(f"{arguments.memory}: {growth(alone, mixture):.0f} MB more while it separates")
            return
        expected = original(mixture)
        length = min(expected.shape[-1], samples)
        peak = expected.abs().max()
        error = (run(mixture)[..., :length] - expected[..., :length]).abs().max()
        seconds = measure(
            {"original": lambda: original(mixture), "ours": lambda: run(mixture)}, arguments.rounds
        )
    for name, value in seconds.items():
        print(f"{name:9s} {value:7.2f} s")
    print(f"ratio     {seconds['ours'] / seconds['original']:7.3f}   (difference {error / peak:.1e})")


if __name__ == "__main__":
    main()
