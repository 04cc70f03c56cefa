"""Time of the sliCQ, compared with an STFT, and its memory.

    python benchmarks/slicq.py [--seconds 30] [--threads 2] [--runs 15]
    python benchmarks/slicq.py --memory --seconds 180

Both analyse and synthesise stereo noise at 44.1 kHz, alternately in this process: the sliCQ with the
published setting (262 bins on the Bark scale from 32.9 Hz), and `torch.stft` and `torch.istft` of 4096
samples with a hop of 1024. Prints the medians and their ratio. With --threads 1 the benchmark measures
processor time, which excludes other processes. With --memory the sliCQ alone runs once, and the benchmark
prints the peak resident set of the whole process (10^6 bytes).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from soloist.resources import peak_memory
from soloist.transforms import SliCQ

SAMPLE_RATE = 44100


def stft_pair(audio: Tensor, window: Tensor) -> Tensor:
    """Analyse and synthesise `(channels, samples)` with PyTorch's STFT."""
    size, hop = len(window), len(window) // 4
    spectrum = torch.stft(audio, size, hop, window=window, return_complex=True)
    return torch.istft(spectrum, size, hop, window=window, length=audio.shape[-1])


def measure(steps: list[Callable[[], object]], runs: int, clock: Callable[[], float]) -> list[float]:
    """Median seconds of each step; the steps alternate, after two rounds of warm-up."""
    seconds: list[list[float]] = [[] for _ in steps]
    for run in range(runs + 2):
        for taken, step in zip(seconds, steps, strict=True):
            begin = clock()
            step()
            if run >= 2:
                taken.append(clock() - begin)
    return [statistics.median(taken) for taken in seconds]


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    slicq = SliCQ("bark", 262, 32.9, sample_rate=SAMPLE_RATE)
    audio = torch.randn(1, 2, round(options.seconds * SAMPLE_RATE)) * 0.1
    coefficients = slicq(audio)
    error = (slicq.inverse(coefficients, audio.shape[-1]) - audio).abs().max() / audio.abs().max()
    print(f"{options.seconds:g} s of stereo, {options.threads} threads; error {error:.1e} of the peak")
    if options.memory:
        print(f"peak memory of the process {peak_memory():.0f} MB")
        return
    window = torch.hann_window(4096)
    stft, forward, inverse = measure(
        [
            lambda: stft_pair(audio[0], window),
            lambda: slicq(audio),
            lambda: slicq.inverse(coefficients, audio.shape[-1]),
        ],
        options.runs,
        time.process_time if options.threads == 1 else time.perf_counter,
    )
    print(f"STFT and inverse {stft:.4f} s; sliCQ {forward:.4f} s, inverse {inverse:.4f} s")
    print(f"ratio {(forward + inverse) / stft:.2f}")


if __name__ == "__main__":
    main()
