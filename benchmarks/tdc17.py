"""Speed of TDC-17 with the default engine, compared with an eager transcription of the paper's formulas.

Both separate the same 64 stereo frames alternately in one process. The transcription computes convolution,
BatchNorm and ReLU one after the other, and concatenates in dense blocks.

    python benchmarks/tdc17.py [--frames 64] [--threads 2] [--rounds 15]
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from soloist.networks import TDC, UNet
from soloist.separators import Optimizable

CHANNELS, LAYERS, BLOCKS, BINS = 24, 5, 17, 1025


class PlainTDC(nn.Module):
    """Dense block of time-distributed convolutions: along frequency, with frames as items of the batch."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(in_channels + CHANNELS * index, CHANNELS, 3, padding=1),
                nn.BatchNorm1d(CHANNELS),
                nn.ReLU(),
            )
            for index in range(LAYERS)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames, bins)` to the same with 24 channels."""
        batch, channels, frames, bins = x.shape
        x = x.transpose(1, 2).reshape(batch * frames, channels, bins)
        newest = self.layers[0](x)
        for layer in list(self.layers)[1:]:
            x = torch.cat([newest, x], dim=1)
            newest = layer(x)
        return newest.reshape(batch, frames, CHANNELS, bins).transpose(1, 2)


class PlainSampling(nn.Module):
    """Convolution of two taps that halves or doubles the bins of each frame, and BatchNorm."""

    def __init__(self, conv: nn.Conv1d | nn.ConvTranspose1d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, channels, frames, bins)` to half or double the bins."""
        batch, channels, frames, bins = x.shape
        x = self.conv(x.transpose(1, 2).reshape(batch * frames, channels, bins))
        return self.norm(x.reshape(batch, frames, channels, -1).transpose(1, 2))


class PlainUNet(nn.Module):
    """U-Net around the blocks, on `(batch, 4, frames, bins)`."""

    def __init__(self) -> None:
        super().__init__()
        depth = BLOCKS // 2
        self.entry = nn.Sequential(nn.Conv2d(4, CHANNELS, (1, 2)), nn.BatchNorm2d(CHANNELS), nn.ReLU())
        self.encoders = nn.ModuleList(PlainTDC(CHANNELS) for _ in range(depth))
        self.downs = nn.ModuleList(PlainSampling(nn.Conv1d(CHANNELS, CHANNELS, 2, 2)) for _ in range(depth))
        self.middle = PlainTDC(CHANNELS)
        self.ups = nn.ModuleList(
            PlainSampling(nn.ConvTranspose1d(CHANNELS, CHANNELS, 2, 2)) for _ in range(depth)
        )
        self.decoders = nn.ModuleList(PlainTDC(2 * CHANNELS) for _ in range(depth))
        self.exit = nn.Conv2d(CHANNELS, 4, (1, 2), padding=(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map the spectrogram of the mixture to that of the vocals."""
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


def translated(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert the weights of the transcription to the names and axes of `soloist.networks.UNet`."""
    ours = {}
    for name, weight in state.items():
        name = re.sub(r"(entry|layers\.\d+)\.0\.", r"\1.conv.", name)
        name = re.sub(r"(entry|layers\.\d+)\.1\.", r"\1.norm.", name)
        ours[name] = (
            weight[..., None]
            if weight.ndim == 3
            else weight.transpose(-1, -2)
            if weight.ndim == 4
            else weight
        )
    return ours


def measure(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each function; the functions alternate, so that other work affects all equally."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    plain = PlainUNet().eval()
    for name, buffer in plain.named_buffers():  # Random statistics, as after a training.
        if name.endswith("running_mean"):
            nn.init.normal_(buffer, std=0.3)
        elif name.endswith("running_var"):
            nn.init.uniform_(buffer, 0.01, 0.1)
    network = UNet(TDC(LAYERS), num_blocks=BLOCKS, num_bins=BINS, time_levels=[]).eval()
    network.load_state_dict(translated(plain.state_dict()))
    mixture = torch.randn(1, 4, arguments.frames, BINS)
    ours = mixture.transpose(-1, -2).contiguous()
    for module in list(network.modules()):
        if isinstance(module, Optimizable):
            module.optimize()

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
