"""Speed of a training step of SuDoRM-RF, compared with an eager transcription of the paper's formulas.

    python benchmarks/training_step.py [--blocks 16] [--batch 4] [--seconds 4] [--threads 1] [--runs 5]

A step consists of forward pass, permutation-invariant SI-SDR, backward pass and Adam. Both steps run
alternately in this process, from the same weights on the same batches. Prints the medians, their ratio and
the largest relative difference of the losses. The plain step is the transcription of `sudormrf.py` with a
plain loss and PyTorch's default Adam.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from soloist.losses import SISDR, PermutationInvariant
from soloist.separators import FilterbankSeparator, Level, sudormrf_design
from sudormrf import plain_separation

Step = Callable[[Tensor], float]


def soloist_step(separator: FilterbankSeparator) -> Step:
    """Make the step of `soloist train`, on references `(batch, sources, 1, samples)`."""
    loss = PermutationInvariant(SISDR())
    optimizer = torch.optim.Adam(separator.parameters(), lr=1e-3)

    def step(references: Tensor) -> float:
        value = loss(separator.predict(references.sum(dim=1)), references).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value.item()

    return step


def plain_step(separator: FilterbankSeparator) -> Step:
    """Make the same step by the transcription."""
    optimizer = torch.optim.Adam(separator.parameters(), lr=1e-3)

    def step(references: Tensor) -> float:
        mixture = references.sum(dim=1)
        level = Level.of(mixture)
        estimates = plain_separation(separator, level.normalize(mixture))
        value = plain_loss(estimates, references[:, :, 0])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value.item()

    return step


def plain_loss(estimates: Tensor, references: Tensor) -> Tensor:
    """Negative SI-SDR in dB of the best order of `(batch, sources, samples)`."""
    estimates = estimates - estimates.mean(dim=-1, keepdim=True)
    references = references - references.mean(dim=-1, keepdim=True)
    ratios = []
    for order in itertools.permutations(range(references.shape[1])):
        target = references[:, list(order)]
        scale = (estimates * target).sum(-1, keepdim=True) / (target.pow(2).sum(-1, keepdim=True) + 1e-8)
        projection = scale * target
        noise = (estimates - projection).pow(2).sum(-1)
        ratios.append((10 * torch.log10(projection.pow(2).sum(-1) / (noise + 1e-8) + 1e-8)).mean(dim=1))
    return -torch.stack(ratios).amax(dim=0).mean()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    separator = sudormrf_design("improved", {"num_blocks": options.blocks}).build().train()
    steps = (soloist_step(separator), plain_step(copy.deepcopy(separator)))
    shape = (options.batch, 2, 1, round(options.seconds * separator.sample_rate))

    seconds: tuple[list[float], list[float]] = ([], [])
    difference = 0.0
    for run in range(options.runs + 1):
        references = torch.randn(shape)
        losses = []
        for taken, step in zip(seconds, steps, strict=True):
            begin = time.perf_counter()
            losses.append(step(references))
            taken.append(time.perf_counter() - begin)
        difference = max(difference, abs(losses[0] / losses[1] - 1))
        print(f"step {run}: soloist {seconds[0][-1]:.3f} s, plain {seconds[1][-1]:.3f} s", flush=True)
    ours, plain = (statistics.median(taken[1:]) for taken in seconds)
    print(f"SuDoRM-RF improved U{options.blocks}/512, batch {options.batch} x {options.seconds:g} s at 8 kHz")
    print(f"plain transcription  median {plain:.3f} s")
    print(f"soloist              median {ours:.3f} s")
    print(f"ratio {ours / plain:.3f}; largest relative difference of the losses {difference:.1e}")


if __name__ == "__main__":
    main()
