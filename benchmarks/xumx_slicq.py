"""Speed of separation and training of xumx-sliCQ, compared with an eager transcription of its formulas.

    python benchmarks/xumx_slicq.py [--seconds 8] [--threads 2] [--runs 5]
    python benchmarks/xumx_slicq.py --train [--batch 4] [--seconds 1]

Separation consists of sliCQ, the networks of all blocks, one iteration of the Wiener filter, and inverse
sliCQ, in the published setting (262 Bark bins from 32.9 Hz, 16 kHz bandwidth, four stereo sources,
6.7 million values). A training step consists of the sliCQ of mixture and references, networks, the
released loss, backward pass and Adam. Both implementations run alternately in this process, with the same
weights (and the released meaning of masks) on the same noise. Prints the medians, their ratio and the
largest difference.

The transcription of the paper and its code is eager PyTorch: a loop over bins for the transform, a network
for each source and block, a loop over slices to overlap them, and the Wiener filter on all blocks padded to
the width of the widest.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soloist.losses import SISDR, MultiDomain, SpectrogramLoss
from soloist.networks import Autoencoder
from soloist.networks.slicq_masks import AutoencoderMasks
from soloist.separators import SliCQSeparator
from soloist.transforms import SliCQ, make_scale
from soloist.transforms.slicq.windows import BinWindows, fft_offsets, transition_window

SAMPLE_RATE = 44100
SOURCES = ("vocals", "drums", "bass", "other")
EPS = 1e-10


class PlainTransform:
    """Transcription of the sliCQ, bin by bin."""

    def __init__(self, transform: SliCQ) -> None:
        self.size, self.hop = transform.slice_length, transform.hop_length
        self.window = torch.from_numpy(transition_window(self.size, transform.transition)).float()
        windows = BinWindows.of(make_scale("bark", 262, 32.9, SAMPLE_RATE), self.size, SAMPLE_RATE)
        self.blocks = transform.blocks
        frame = windows.frame(windows.lengths)
        self.bins = []
        for center, window, width in zip(windows.centers, windows.windows, windows.lengths, strict=True):
            places = (center + fft_offsets(len(window))) % self.size
            gain = window * (-1.0) ** (center // 2)
            dual = width * gain / frame[places]
            self.bins.append(
                (torch.from_numpy(places), torch.from_numpy(gain).float(), torch.from_numpy(dual).float())
            )

    def forward(self, audio: Tensor, slices: int) -> list[Tensor]:
        """Analyse to blocks `(batch, channels, frequency, slices, coefficients)`."""
        padded = F.pad(audio, (self.hop, slices * self.hop - audio.shape[-1]))
        spectra = torch.fft.fft(padded.unfold(-1, self.size, self.hop) * self.window)
        bands = [torch.fft.ifft(spectra[..., places] * gain) for places, gain, _ in self.bins]
        return [
            torch.stack(bands[block.first_bin : block.first_bin + block.bins], dim=2) for block in self.blocks
        ]

    def inverse(self, blocks: Sequence[Tensor], length: int) -> Tensor:
        """Synthesise audio `(batch, channels, length)`, without the spectrum's mirror image."""
        bands = [band for block in blocks for band in block.unbind(dim=2)]
        spectra = bands[0].new_zeros(*bands[0].shape[:3], self.size)
        for band, (places, _, dual) in zip(bands, self.bins, strict=True):
            spectra = spectra.index_add(-1, places, torch.fft.fft(band) * dual)
        signals = torch.fft.irfft(spectra[..., : self.size // 2 + 1], self.size)
        audio = signals.new_zeros(*signals.shape[:2], (signals.shape[2] + 1) * self.hop)
        for index, part in enumerate(signals.unbind(dim=2)):
            audio[..., index * self.hop : index * self.hop + self.size] += part
        return audio[..., self.hop :][..., :length]


class PlainBlock(nn.Module):
    """Auto-encoder of one source and block, with the weights of that source."""

    def __init__(self, masks: AutoencoderMasks, source: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(masks.whitening.shift[source].detach().clone())
        self.scale = nn.Parameter(masks.whitening.scale[source].detach().clone())
        layers = [_alone(layer.conv, layer.norm, source) for layer in masks.layers]
        self.layers = nn.Sequential(*(module for layer in layers for module in (*layer, nn.ReLU())))
        self.head = _alone(masks.head, None, source)[0]

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Estimate magnitudes `(batch, channels, frequency, slices, coefficients)`."""
        *_, slices, width = magnitudes.shape
        whole = magnitudes.new_zeros(*magnitudes.shape[:3], (slices + 1) * width // 2)
        for index, part in enumerate(magnitudes.unbind(dim=3)):
            whole[..., index * width // 2 : index * width // 2 + width] += part
        x = (whole + self.shift[:, None]) * self.scale[:, None]
        mask = torch.sigmoid(self.head(self.layers(x)))[..., : slices * width]
        return mask.reshape(magnitudes.shape) * magnitudes


def _alone(conv: nn.Module, norm: nn.Module | None, source: int) -> list[nn.Module]:
    """Extract one source's part of a grouped convolution and of its norm."""
    groups = len(SOURCES)
    kind, transposed = type(conv), isinstance(conv, nn.ConvTranspose2d)
    inputs, outputs = conv.in_channels // groups, conv.out_channels // groups
    alone = kind(
        inputs,
        outputs,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        bias=conv.bias is not None,
    )
    first = source * (inputs if transposed else outputs)
    alone.weight.data = conv.weight.detach()[first : first + len(alone.weight)].clone()
    if conv.bias is not None:
        alone.bias.data = conv.bias.detach()[source * outputs : (source + 1) * outputs].clone()
    if norm is None:
        return [alone]
    of_source = nn.BatchNorm2d(outputs)
    for name, value in norm.state_dict().items():
        own = value if value.ndim == 0 else value[source * outputs : (source + 1) * outputs]
        of_source.state_dict()[name].copy_(own)
    return [alone, of_source]


class PlainSeparator(nn.Module):
    """Transcription of xumx-sliCQ."""

    def __init__(self, separator: SliCQSeparator) -> None:
        super().__init__()
        self.transform = PlainTransform(separator.transform)
        self.num_slices = separator.transform.num_slices
        self.networks = nn.ModuleList(
            nn.ModuleList(PlainBlock(masks, source) for source in range(len(SOURCES)))
            for masks in separator.network.blocks
        )

    def magnitudes(self, mixed: Sequence[Tensor]) -> list[list[Tensor]]:
        """Estimate magnitudes of each source and block; blocks above the bandwidth stay unchanged."""
        sizes = [block.abs() for block in mixed]
        return [
            [
                self.networks[index][source](block) if index < len(self.networks) else block
                for index, block in enumerate(sizes)
            ]
            for source in range(len(SOURCES))
        ]

    def mix_phase(self, mixed: Sequence[Tensor], magnitudes: Sequence[Tensor]) -> list[Tensor]:
        """Combine magnitudes with the mixture's phase."""
        return [torch.polar(size, block.angle()) for size, block in zip(magnitudes, mixed, strict=True)]

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate to estimates `(batch, sources, channels, samples)`."""
        mixed = self.transform.forward(mixture, self.num_slices(mixture.shape[-1]))
        started = [self.mix_phase(mixed, sizes) for sizes in self.magnitudes(mixed)]
        whole = to_matrix(mixed)
        filtered = wiener(whole, torch.stack([to_matrix(blocks) for blocks in started], dim=-1))
        stems = [from_matrix(filtered[..., source], mixed) for source in range(len(SOURCES))]
        return torch.stack([self.transform.inverse(blocks, mixture.shape[-1]) for blocks in stems], dim=1)


def to_matrix(blocks: Sequence[Tensor]) -> Tensor:
    """Pad all blocks to the width of the widest, `(batch, channels, frequency, frames)`."""
    widest = max(block.shape[-1] for block in blocks)
    padded = [F.pad(torch.view_as_real(block), (0, 0, 0, widest - block.shape[-1])) for block in blocks]
    return torch.view_as_complex(torch.cat(padded, dim=2).contiguous()).flatten(-2)


def from_matrix(matrix: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Invert `to_matrix`."""
    unfolded = matrix.unflatten(-1, (like[0].shape[3], -1))
    bands = unfolded.split([block.shape[2] for block in like], dim=2)
    return [band[..., : block.shape[-1]] for band, block in zip(bands, like, strict=True)]


def wiener(mixture: Tensor, estimates: Tensor) -> Tensor:
    """Apply an iteration of expectation-maximisation to `(batch, channels, frequency, frames[, sources])`."""
    gain = max(1.0, float(mixture.abs().max()) / 10)
    x = (mixture / gain).permute(0, 3, 2, 1)
    y = (estimates / gain).permute(0, 3, 2, 1, 4)
    filtered = []
    power = y.abs().square().mean(dim=3)
    spatial = []
    for source in range(y.shape[-1]):
        own = y[..., source]
        covariance = torch.einsum("b t f c, b t f d -> b f c d", own, own.conj())
        spatial.append(covariance / (EPS + power[..., source].sum(dim=1))[..., None, None])
    mixed = sum(power[..., source, None, None] * spatial[source][:, None] for source in range(y.shape[-1]))
    mixed = mixed + EPS**0.5 * torch.eye(2)
    determinant = mixed[..., 0, 0] * mixed[..., 1, 1] - mixed[..., 0, 1] * mixed[..., 1, 0]
    inverse = torch.stack(
        [
            torch.stack([mixed[..., 1, 1], -mixed[..., 0, 1]], dim=-1),
            torch.stack([-mixed[..., 1, 0], mixed[..., 0, 0]], dim=-1),
        ],
        dim=-2,
    )
    inverse = inverse / determinant[..., None, None]
    for source in range(y.shape[-1]):
        gains = (spatial[source][:, None] @ inverse) * power[..., source, None, None]
        filtered.append((gains @ x[..., None])[..., 0])
    return torch.stack(filtered, dim=-1).permute(0, 3, 2, 1, 4) * gain


def plain_loss(separator: PlainSeparator, references: Tensor) -> Tensor:
    """Released loss: errors of magnitudes, and 14 sums of waveforms that have no gradient."""
    mixture = references.sum(dim=1)
    slices = separator.num_slices(mixture.shape[-1])
    with torch.no_grad():
        mixed = separator.transform.forward(mixture, slices)
        targets = [
            [block.abs() for block in separator.transform.forward(references[:, source], slices)]
            for source in range(len(SOURCES))
        ]
    estimates = separator.magnitudes(mixed)
    spectral = torch.stack(
        [
            torch.stack([F.mse_loss(ours, true) for ours, true in zip(*pair, strict=True)]).mean()
            for pair in zip(estimates, targets, strict=True)
        ]
    ).mean()
    with torch.no_grad():
        phased = [separator.mix_phase(mixed, blocks) for blocks in estimates]
        audio = [separator.transform.inverse(blocks, mixture.shape[-1]) for blocks in phased]
        terms = []
        for size in (1, 2, 3):
            for members in combinations(range(len(SOURCES)), size):
                ours, true = sum(audio[i] for i in members), sum(references[:, i] for i in members)
                terms.append(-si_sdr(ours, true).mean())
    return spectral + 0.1 * torch.stack(terms).mean()


def si_sdr(estimates: Tensor, references: Tensor) -> Tensor:
    """Ratio in dB of `(..., samples)`."""
    ours, true = (signal - signal.mean(dim=-1, keepdim=True) for signal in (estimates, references))
    scale = (ours * true).sum(-1, keepdim=True) / (true.square().sum(-1, keepdim=True) + 1e-8)
    target = scale * true
    return 10 * torch.log10(target.square().sum(-1) / ((ours - target).square().sum(-1) + 1e-8) + 1e-8)


def take_step(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> float:
    """Apply a training step; returns the loss before the step."""
    value = loss()
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    return value.item()


def measure(steps: Sequence[Callable[[], object]], runs: int) -> list[float]:
    """Median seconds of each step; the steps alternate, after one round of warm-up."""
    seconds: list[list[float]] = [[] for _ in steps]
    for run in range(runs + 1):
        for taken, step in zip(seconds, steps, strict=True):
            begin = time.perf_counter()
            step()
            if run:
                taken.append(time.perf_counter() - begin)
    return [statistics.median(taken) for taken in seconds]


def compare_separation(separator: SliCQSeparator, options: argparse.Namespace) -> None:
    """Print times of separation."""
    torch.manual_seed(1)
    mixture = 0.1 * torch.randn(1, 2, round((options.seconds or 8) * SAMPLE_RATE))
    plain, ours = PlainSeparator(separator).eval(), copy.deepcopy(separator).optimize()
    with torch.inference_mode():
        expected = plain(mixture)
        difference = (ours(mixture) - expected).abs().max() / expected.abs().max()
        slow, fast = measure([lambda: plain(mixture), lambda: ours(mixture)], options.runs)
    print(f"separation: plain {slow:.2f} s, soloist {fast:.2f} s, ratio {fast / slow:.2f}")
    print(f"largest difference {difference:.1e} of the peak")


def compare_training(separator: SliCQSeparator, options: argparse.Namespace) -> None:
    """Print times of a training step."""
    torch.manual_seed(1)
    samples = round((options.seconds or 1) * SAMPLE_RATE)
    references = 0.1 * torch.randn(options.batch, len(SOURCES), 2, samples)
    plain, ours = PlainSeparator(separator).train(), copy.deepcopy(separator).train()
    spectral = SpectrogramLoss(distance="mse", weighting="blocks")
    waveform = SISDR(stabilization="ratio", channels="apart")
    loss = MultiDomain(spectral, waveform, as_released=True)
    optimizers = [torch.optim.Adam(module.parameters(), 1e-3, weight_decay=1e-5) for module in (plain, ours)]
    values: list[list[float]] = [[], []]

    def our_loss() -> Tensor:
        return loss(ours.predict(references.sum(dim=1)), references).mean()

    slow, fast = measure(
        [
            lambda: values[0].append(take_step(lambda: plain_loss(plain, references), optimizers[0])),
            lambda: values[1].append(take_step(our_loss, optimizers[1])),
        ],
        options.runs,
    )
    print(f"training step: plain {slow:.2f} s, soloist {fast:.2f} s, ratio {fast / slow:.2f}")
    print(f"losses of the first steps: {values[0][:3]} and {values[1][:3]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    transform = SliCQ(sample_rate=SAMPLE_RATE, as_released=True)
    separator = SliCQSeparator(
        transform, Autoencoder(as_released=True), sources=SOURCES, sample_rate=SAMPLE_RATE
    ).eval()
    (compare_training if options.train else compare_separation)(separator, options)


if __name__ == "__main__":
    main()
