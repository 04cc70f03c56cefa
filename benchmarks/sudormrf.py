"""Speed of SuDoRM-RF, compared with an eager transcription of the paper's formulas.

    python benchmarks/sudormrf.py [--preset improved-u16] [--seconds 4] [--threads 2] [--runs 15]

Both run alternately in this process with the same weights and input. Prints the medians, their ratio and the
largest difference of the outputs. The transcription, of the improved network only, has one-dimensional
convolutions, the normalisation by definition, nearest up-sampling, a clone for each skip connection, and a
transposed convolution.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.inference import TorchEngine
from soloist.networks import SuDoRMRF
from soloist.networks.sudormrf.improved import UBlock
from soloist.separators import FilterbankSeparator, sudormrf_preset


def plain_norm(x: Tensor, norm: nn.Module) -> Tensor:
    """Global layer norm by definition."""
    mean = x.mean(dim=(1, 2), keepdim=True)
    variance = torch.pow(x - mean, 2).mean(dim=(1, 2), keepdim=True)
    normalized = (x - mean) / (variance + norm.eps).sqrt()
    return (norm.gain * normalized.transpose(1, 2) + norm.shift).transpose(1, 2)


def plain_block(x: Tensor, block: UBlock) -> Tensor:
    """Apply one U-block: widen, down-sample, resample, narrow, add."""
    residual = x.clone()
    wide = F.conv1d(x, block.widen.weight, block.widen.bias)
    wide = F.prelu(plain_norm(wide, block.widen_norm), block.widen_activation.weight)
    resolutions = []
    for index, (conv, norm) in enumerate(block.pyramid.levels):
        source = resolutions[-1] if resolutions else wide
        stride = 2 if index else 1
        low = F.conv1d(source, conv.weight, conv.bias, stride, padding=2, groups=conv.groups)
        resolutions.append(plain_norm(low, norm))
    while len(resolutions) > 1:
        up = F.interpolate(resolutions.pop(), scale_factor=2.0)
        resolutions[-1] = resolutions[-1] + up
    summed = F.prelu(plain_norm(resolutions[-1], block.norm), block.activation.weight)
    return F.conv1d(summed, block.narrow.weight, block.narrow.bias) + residual


def plain_separation(separator: FilterbankSeparator, mixture: Tensor) -> Tensor:
    """Apply the improved SuDoRM-RF to audio `(batch, 1, samples)`; returns `(batch, sources, samples)`."""
    bank, network = separator.filterbank, separator.network
    assert isinstance(network, SuDoRMRF)
    samples, unit, hop = mixture.shape[-1], separator.pad_multiple, bank.hop_length
    padded = torch.zeros(*mixture.shape[:-1], -(-samples // unit) * unit)
    padded[..., :samples] = mixture
    encoded = F.conv1d(padded, bank.analysis.weight, stride=hop, padding=hop)
    features = encoded.clone()
    x = F.conv1d(plain_norm(encoded, network.norm), network.bottleneck.weight, network.bottleneck.bias)
    for block in network.blocks:
        x = plain_block(x, block)
    x = F.prelu(x, network.mask_activation.weight)
    masks = F.conv1d(x, network.mask.weight, network.mask.bias)
    masks = torch.relu(masks.view(x.shape[0], network.num_outputs, bank.num_filters, -1))
    masked = masks * features.unsqueeze(1)
    masked = masked.view(x.shape[0], -1, x.shape[-1])
    audio = F.conv_transpose1d(masked, bank.synthesis.weight, None, hop, padding=hop, output_padding=hop - 1)
    return audio[..., :samples]


def compare(
    ours: Callable[[], Tensor], plain: Callable[[], Tensor], runs: int
) -> tuple[list[float], list[float]]:
    """Time both alternately, in seconds per run, after three runs of warm-up."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for run in range(runs + 3):
        for taken, function in zip(seconds, (ours, plain), strict=True):
            begin = time.perf_counter()
            function()
            if run >= 3:
                taken.append(time.perf_counter() - begin)
    return seconds


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="improved-u16")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    separator = sudormrf_preset(options.preset).build().eval()
    engine = TorchEngine(separator, "cpu")
    mixture = torch.randn(1, 1, round(options.seconds * separator.sample_rate))

    expected = plain_separation(separator, mixture)
    difference = (engine(mixture)[:, :, 0] - expected).abs().max() / expected.abs().max()
    ours, plain = compare(lambda: engine(mixture), lambda: plain_separation(separator, mixture), options.runs)
    ours_median, plain_median = statistics.median(ours), statistics.median(plain)
    print(f"{options.preset}, {options.seconds:g} s at {separator.sample_rate} Hz, {options.threads} threads")
    print(f"plain transcription  median {plain_median:.4f} s  fastest {min(plain):.4f} s")
    print(f"soloist              median {ours_median:.4f} s  fastest {min(ours):.4f} s")
    print(f"ratio {ours_median / plain_median:.3f} (of the fastest {min(ours) / min(plain):.3f})")
    print(f"largest difference of the outputs {difference:.1e} of the peak")


if __name__ == "__main__":
    main()
