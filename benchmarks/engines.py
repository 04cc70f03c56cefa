"""Speed of all engines, also relative to the matrix products of the machine.

    python benchmarks/engines.py [sudormrf tdc17 tfc-tdf] [--threads 2] [--rounds 15]

Each round runs an eager transcription, every installed engine and a large matrix product once, in one
process, so that other work on the machine affects all equally. Prints medians of the times, medians of the
ratios within a round, the largest difference from PyTorch, and the fraction of the matrix product's rate, by
the operations that PyTorch counts in the separator's network.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import sudormrf
import tdc17
import tfc_tdf
from soloist.inference import installed_engines, make_engine
from soloist.networks import TDC, UNet
from soloist.profiling import count_operations
from soloist.separators import Separator, SpectralSeparator, sudormrf_preset
from soloist.transforms import STFT

MATRIX = 2048

Subject = tuple[Separator, Tensor, Callable[[], object]]
"""Separator, a mixture `(1, channels, samples)`, and a transcription of the network."""


def make_sudormrf() -> Subject:
    """Prepare SuDoRM-RF improved U16/512 on 4 s at 8 kHz."""
    separator = sudormrf_preset("improved-u16").build().eval()
    mixture = torch.randn(1, 1, 4 * 8000)
    return separator, mixture, lambda: sudormrf.plain_separation(separator, mixture)


def make_tdc17() -> Subject:
    """Prepare TDC-17 on 64 frames."""
    plain = tdc17.PlainUNet().eval()
    for name, buffer in plain.named_buffers():
        if name.endswith("running_mean"):
            nn.init.normal_(buffer, std=0.3)
        elif name.endswith("running_var"):
            nn.init.uniform_(buffer, 0.5, 2.0)
    network = UNet(TDC(tdc17.LAYERS), num_blocks=tdc17.BLOCKS, num_bins=tdc17.BINS, time_levels=[])
    network.load_state_dict(tdc17.translated(plain.state_dict()))
    return _spectral(network, plain, 64)


def make_tfc_tdf() -> Subject:
    """Prepare the default TFC-TDF on 128 frames."""
    network = tfc_tdf.make_network()
    return _spectral(network, tfc_tdf.PlainUNet(network), 128)


def _spectral(network: UNet, plain: nn.Module, frames: int) -> Subject:
    separator = SpectralSeparator(STFT(2048, 1024), network, sources=["vocals"], sample_rate=44100).eval()
    mixture = 0.1 * torch.randn(1, 2, 1024 * (frames - 1))

    def separate() -> Tensor:
        # Includes the transform and its inverse, as the engines do.
        (seen,), finish = separator.stage(mixture)
        return finish([plain(seen.transpose(-1, -2)).transpose(-1, -2)])

    return separator, mixture, separate


SUBJECTS = {"sudormrf": make_sudormrf, "tdc17": make_tdc17, "tfc-tdf": make_tfc_tdf}


def take_turns(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time each function in each round, in seconds, after two rounds of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - begun)
    return seconds


def median_ratio(of: list[float], to: list[float]) -> float:
    """Median over the rounds."""
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


@torch.inference_mode()
def compare(name: str, rounds: int) -> None:
    """Measure a separator and print the results."""
    torch.manual_seed(0)
    separator, mixture, plain = SUBJECTS[name]()
    engines = {engine: make_engine(engine, separator, "cpu") for engine in installed_engines()}
    expected = engines["torch"](mixture)
    operations = count_operations(lambda: engines["torch"](mixture))
    left, right = torch.randn(2, MATRIX, MATRIX)
    runs: dict[str, Callable[[], object]] = {"plain": plain}
    runs |= {engine: lambda run=run: run(mixture) for engine, run in engines.items()}
    seconds = take_turns(runs | {"product": lambda: torch.mm(left, right)}, rounds)
    per_operation = [taken / (2 * MATRIX**3) for taken in seconds["product"]]
    print(
        f"{name}: {operations / 1e9:.1f} GFLOP; {1e-9 / statistics.median(per_operation):.0f} GFLOP/s in mm"
    )
    for engine in runs:
        ratio = median_ratio(seconds[engine], seconds["plain"])
        share = median_ratio([each * operations for each in per_operation], seconds[engine])
        line = f"{engine:12s} {1000 * statistics.median(seconds[engine]):8.1f} ms"
        line += f"  ratio {ratio:.3f}  share of mm {share:.2f}"
        if engine in engines:
            difference = (engines[engine](mixture) - expected).abs().max() / expected.abs().max()
            line += f"  difference {difference:.0e}"
        print(line, flush=True)


def main() -> None:
    """Measure the chosen separators."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("subjects", nargs="*", default=list(SUBJECTS), metavar="|".join(SUBJECTS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.subjects:
        compare(name, options.rounds)


if __name__ == "__main__":
    main()
