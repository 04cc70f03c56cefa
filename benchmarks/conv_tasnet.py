"""Speed of Conv-TasNet, compared with an eager transcription of the paper's formulas.

    python benchmarks/conv_tasnet.py [--causal] [--seconds 4] [--threads 2] [--runs 15]

Both run alternately in this process with the same weights and input. Prints the medians, their ratio and the
largest difference of the outputs. The transcription has one-dimensional convolutions, normalisations by
definition, separate convolutions for the residual and the output, and a transposed convolution.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.inference import TorchEngine
from soloist.networks import ConvTasNet, CumulativeNorm
from soloist.networks.conv_tasnet import ConvBlock
from soloist.separators import FilterbankSeparator
from soloist.transforms import LearnedFilterbank
from sudormrf import compare, plain_norm


def plain_cumulative_norm(x: Tensor, norm: nn.Module) -> Tensor:
    """Cumulative layer norm by definition: sums and sums of squares of all entries so far."""
    entries = torch.arange(x.shape[1], x.shape[1] * (x.shape[2] + 1), x.shape[1]).view(1, -1)
    mean = x.sum(1).cumsum(dim=1) / entries
    power = x.pow(2).sum(1).cumsum(dim=1) / entries
    deviation = (power - mean.pow(2) + norm.eps).sqrt()
    normalized = (x - mean.unsqueeze(1)) / deviation.unsqueeze(1)
    return norm.gain.view(1, -1, 1) * normalized + norm.shift.view(1, -1, 1)


def plain_normalization(x: Tensor, norm: nn.Module) -> Tensor:
    """Apply the causal or the global norm."""
    return plain_cumulative_norm(x, norm) if isinstance(norm, CumulativeNorm) else plain_norm(x, norm)


def plain_block(x: Tensor, block: ConvBlock) -> tuple[Tensor, Tensor]:
    """Apply one block; returns the residual sum and the contribution to the output."""
    widen, first_slope, first_norm, conv, second_slope, second_norm, narrow = block.layers
    wide = F.prelu(F.conv1d(x, widen.weight, widen.bias), first_slope.weight)
    wide = plain_normalization(wide, first_norm)
    padding, dilation = conv.padding[0], conv.dilation[0]
    wide = F.conv1d(wide, conv.weight, conv.bias, padding=padding, dilation=dilation, groups=conv.groups)
    wide = F.prelu(wide[..., : x.shape[-1]], second_slope.weight)
    wide = plain_normalization(wide, second_norm)
    (residual_weight, skip_weight), (residual_bias, skip_bias) = (
        values.split(block.sizes) for values in (narrow.weight, narrow.bias)
    )
    return x + F.conv1d(wide, residual_weight, residual_bias), F.conv1d(wide, skip_weight, skip_bias)


def plain_separation(separator: FilterbankSeparator, mixture: Tensor) -> Tensor:
    """Apply Conv-TasNet to audio `(batch, 1, samples)`; returns `(batch, sources, samples)`."""
    bank, network = separator.filterbank, separator.network
    assert isinstance(network, ConvTasNet)
    hop = bank.hop_length
    encoded = F.conv1d(mixture, bank.analysis.weight, stride=hop, padding=bank.kernel_size // 2)
    x = plain_normalization(encoded, network.norm)
    x = F.conv1d(x, network.bottleneck.weight, network.bottleneck.bias)
    total = 0
    for block in network.blocks:
        x, part = plain_block(x, block)
        total = total + part
    total = F.prelu(total, network.slope.weight)
    masks = torch.sigmoid(F.conv1d(total, network.masks.linear.weight, network.masks.linear.bias))
    masked = masks.view(x.shape[0], -1, bank.num_filters, x.shape[-1]) * encoded.unsqueeze(1)
    audio = F.conv_transpose1d(masked[0], bank.synthesis.weight, stride=hop, padding=bank.kernel_size // 2)
    return audio.view(x.shape[0], -1, audio.shape[-1])[..., : mixture.shape[-1]]


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    filterbank = LearnedFilterbank(512, 16, synthesis="shared")
    network = ConvTasNet(causal=options.causal)
    separator = FilterbankSeparator(filterbank, network, normalization="none").eval()
    mixture = torch.randn(1, 1, round(options.seconds * separator.sample_rate / 8) * 8)
    expected = plain_separation(separator, mixture)
    engine = TorchEngine(separator, "cpu")

    difference = (engine(mixture)[:, :, 0] - expected).abs().max() / expected.abs().max()
    ours, plain = compare(lambda: engine(mixture), lambda: plain_separation(separator, mixture), options.runs)
    ours_median, plain_median = statistics.median(ours), statistics.median(plain)
    kind = "causal" if options.causal else "not causal"
    print(f"{kind}, {options.seconds:g} s at {separator.sample_rate} Hz, {options.threads} threads")
    print(f"plain transcription  median {plain_median:.4f} s  fastest {min(plain):.4f} s")
    print(f"soloist              median {ours_median:.4f} s  fastest {min(ours):.4f} s")
    print(f"ratio {ours_median / plain_median:.3f} (of the fastest {min(ours) / min(plain):.3f})")
    print(f"largest difference of the outputs {difference:.1e} of the peak")


if __name__ == "__main__":
    main()
