"""Speed of the Wiener filter, compared with norbert's, and the difference of both.

    pip install norbert
    python benchmarks/wiener.py [--seconds 7] [--sources 4] [--iterations 1] [--threads 2] [--runs 7]

Both filter the same stereo STFT (4096 samples, hop 1024, complex64) by the same magnitudes, alternately in
this process. Prints the medians, their ratio, and the largest difference of the estimates from norbert's in
double precision. norbert gets a copy of the mixture each time, because norbert modifies its input. With
--threads 1 the benchmark measures processor time, which excludes other processes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import norbert
import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray

from soloist.estimation import WienerEM
from soloist.transforms import STFT

SAMPLE_RATE = 44100
EPS = 1e-10


def norbert_filter(magnitudes: NDArray, mixture: NDArray, iterations: int) -> NDArray:
    """Filter with norbert; returns estimates `(frames, frequency, channels, sources)`."""
    gain = max(1.0, float(np.abs(mixture).max()) / 10)
    estimates = magnitudes * np.exp(1j * np.angle(mixture))[..., None] / gain
    filtered, _, _ = norbert.expectation_maximization(
        estimates, mixture / gain, iterations=iterations, verbose=False, eps=EPS
    )
    return filtered * gain


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=7.0)
    parser.add_argument("--sources", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    sources = torch.randn(options.sources, 2, round(options.seconds * SAMPLE_RATE)) * 0.1
    coefficients = STFT(4096, 1024)(sources)[None]
    mixture, magnitudes = coefficients.sum(dim=1), coefficients.abs() * (0.5 + torch.rand(coefficients.shape))
    whole = rearrange(mixture[0], "c f t -> t f c").numpy()
    parts = rearrange(magnitudes[0], "s c f t -> t f c s").numpy()

    wiener = WienerEM(options.iterations, window=None)
    steps: list[Callable[[], object]] = [
        lambda: wiener(mixture, magnitudes),
        lambda: norbert_filter(parts, whole.copy(), options.iterations),
    ]
    seconds: list[list[float]] = [[], []]
    clock = time.process_time if options.threads == 1 else time.perf_counter
    for run in range(options.runs + 1):
        for taken, step in zip(seconds, steps, strict=True):
            begin = clock()
            step()
            if run:
                taken.append(clock() - begin)
    ours, theirs = (statistics.median(taken) for taken in seconds)
    exact = norbert_filter(parts.astype(np.float64), whole.astype(np.complex128), options.iterations)
    estimates = rearrange(wiener(mixture, magnitudes)[0], "s c f t -> t f c s").numpy()
    difference = np.abs(estimates - exact).max() / np.abs(exact).max()
    print(f"{mixture.shape[-1]} frames, {options.sources} sources, {options.iterations} iterations")
    print(f"soloist {ours:.3f} s, norbert {theirs:.3f} s: {theirs / ours:.1f} times faster")
    print(f"largest difference {difference:.1e} of the peak")


if __name__ == "__main__":
    main()
