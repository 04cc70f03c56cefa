"""Speed and memory of the RoFormers, compared with the code of their first publication.

Both separate the same chunk with the same weights, alternately in one process. The original is the package
BS-RoFormer 0.4.1, from which the published checkpoints' code was forked:

    pip install --no-deps --target peers BS-RoFormer==0.4.1 rotary-embedding-torch==0.6.5 beartype librosa \
        numba llvmlite
    PYTHONPATH=peers python benchmarks/roformer.py [--network bs] [--depth 12] [--seconds 8] [--rounds 3]

`--memory` runs one of the two alone and prints how much the process grew.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mdx import growth
from soloist.separators import SpectralSeparator
from soloist.zoo.importers.roformer import make_separator, separator_config

SIZES: dict[str, dict[str, Any]] = {
    "bs": {"dim": 512, "depth": 12},
    "mel": {"dim": 384, "depth": 6, "num_bands": 60, "sample_rate": 44100, "linear_transformer_depth": 0},
}
"""Published sizes: viperx's of BS-RoFormer, Kim's of Mel-Band RoFormer."""

COMMON = {
    "stereo": True,
    "num_stems": 1,
    "mask_estimator_depth": 2,
    "time_transformer_depth": 1,
    "freq_transformer_depth": 1,
    "flash_attn": True,
    "stft_n_fft": 2048,
    "stft_hop_length": 441,
}


def make_original(kind: str, model: dict[str, Any]) -> nn.Module:
    """Build the original with random weights."""
    from bs_roformer import BSRoformer, MelBandRoformer

    torch.manual_seed(0)
    return (BSRoformer if kind == "bs" else MelBandRoformer)(**model).eval()


def make_ours(model: dict[str, Any], state: dict[str, Tensor]) -> SpectralSeparator:
    """Build Soloist's separator with the same weights."""
    config = separator_config({**model, "zero_dc": False}, ["vocals"], 44100, 801)
    if "linear_transformer_depth" in model:
        # The original keeps a place for a transformer that is not there.
        state = {
            re.sub(r"^(layers\.\d+\.)([12])", lambda name: f"{name[1]}{int(name[2]) - 1}", name): value
            for name, value in state.items()
        }
    return make_separator(config, state)


def seconds(run: Callable[[], object]) -> float:
    """Time one run."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


@torch.inference_mode()
def main() -> None:
    """Print the medians and their ratio, or the memory of one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=SIZES, default="bs")
    parser.add_argument("--depth", type=int, help="blocks; default: as published")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", choices=["original", "soloist"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = {**COMMON, **SIZES[arguments.network]}
    if arguments.depth:
        model["depth"] = arguments.depth
    original = make_original(arguments.network, model)
    mixture = 0.1 * torch.randn(1, 2, round(arguments.seconds * 44100 / 441) * 441)
    ours = None if arguments.memory == "original" else make_ours(model, original.state_dict())
    if ours is not None:
        ours.optimize()
    if arguments.memory:
        print(f"{arguments.memory}: {growth(ours or original, mixture):.0f} MB more while it separates")
        return
    assert ours is not None
    expected, found = original(mixture), ours(mixture).squeeze(1)
    peak = expected.abs().max()
    print(f"largest difference: {float((found - expected).abs().max() / peak):.1e} of the peak")
    times = [
        (seconds(lambda: original(mixture)), seconds(lambda: ours(mixture))) for _ in range(arguments.rounds)
    ]
    theirs, own = (statistics.median(values) for values in zip(*times, strict=True))
    ratio = statistics.median(own / theirs for theirs, own in times)
    print(f"original {theirs:.2f} s, Soloist {own:.2f} s, median ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
