"""Accuracy of `soloist separate --dry-run`: expected and actual time and memory of separations.

    python benchmarks/plan.py --models two-stage-hpss tiny-tfc-tdf-songs --seconds 3 60
    python benchmarks/plan.py --models tiny-tfc-tdf-songs --seconds 600 --tune
    python benchmarks/plan.py --models hpss --seconds 60 --suffix mp3 --rate 48000 -- --format flac

Plans and separates a recording of each length in separate processes, and prints a line for each pair: the
expected and the actual seconds and MB, and their ratios. The seconds of a separation are those from reading
to the finished stems; the seconds of a plan are those of its whole process. The benchmark ignores the user's
calibrations: `--tune` calibrates the models for this benchmark only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from soloist.datasets import synthesize_band

_LOOP = 30.0


def write_recording(path: Path, seconds: float, rate: int, channels: int) -> None:
    """Write half a minute of the synthetic band, repeated."""
    stems = synthesize_band(_LOOP, sample_rate=rate, seed=0)
    mixture = np.sum(list(stems.values()), axis=0).T[:, :channels]
    left = round(seconds * rate)
    with soundfile.SoundFile(path, "w", rate, channels) as file:
        while left > 0:
            file.write(mixture[:left])
            left -= len(mixture)


def soloist(*arguments: object) -> tuple[list[dict[str, Any]], float]:
    """Run a command in a new process; returns its JSON output and the seconds of the process."""
    command = [sys.executable, "-m", "soloist.cli.main", *map(str, arguments)]
    begun = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    elapsed = time.perf_counter() - begun
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], elapsed


def compare(recording: Path, model: str, options: Iterable[str]) -> tuple[float, float]:
    """Plan and separate a recording, and print a line; returns the ratios of the seconds and of the MB."""
    with tempfile.TemporaryDirectory(prefix="soloist-") as folder:
        given = ("separate", recording, "-m", model, "-o", folder, "--json", *options)
        (plan,), planning = soloist(*given, "--dry-run")
        (then,), _ = soloist(*given)
    seconds = plan["expected_seconds"], then["elapsed"]
    memory = plan["expected_memory_mb"], then["peak_memory_mb"]
    ratios = seconds[0] / seconds[1], memory[0] / memory[1]
    print(
        f"| {model} | {then['duration']:.0f} s | {plan['engine']}, {plan['expected_from']} "
        f"| {seconds[0]:.2f} s | {seconds[1]:.2f} s | **{ratios[0]:.2f}** "
        f"| {memory[0]:.0f} MB | {memory[1]:.0f} MB | **{ratios[1]:.2f}** | {planning:.1f} s |",
        flush=True,
    )
    return ratios


def report(name: str, ratios: list[float]) -> None:
    """Geometric mean of ratios, and the ratio furthest from 1."""
    logarithms = [math.log(ratio) for ratio in ratios]
    mean, worst = sum(logarithms) / len(logarithms), max(logarithms, key=abs)
    print(f"{name}: expected / then on average {math.exp(mean):.2f}, at worst {math.exp(worst):.2f}")


def main() -> None:
    """Compare every length of every model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--seconds", nargs="+", type=float, default=[60.0])
    parser.add_argument("--rate", type=int, default=44100, help="sample rate of the recordings in Hz")
    parser.add_argument("--channels", type=int, choices=[1, 2], default=2)
    parser.add_argument("--suffix", choices=["wav", "flac", "mp3", "ogg"], default="wav")
    parser.add_argument("--runs", type=int, default=1, help="number of comparisons of each length")
    parser.add_argument("--tune", action="store_true", help="tune the models first")
    parser.add_argument("options", nargs="*", help="further options of separate, after --")
    arguments = parser.parse_args()
    ratios = []
    print("| model | recording | engine, by | expected | then | ratio | expected | then | ratio | planning |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="soloist-") as home:
        os.environ["SOLOIST_HOME"] = home
        for model in arguments.models:
            if arguments.tune:
                soloist("tune", model, "--quiet")
            for seconds in arguments.seconds:
                recording = Path(home) / f"recording.{arguments.suffix}"
                write_recording(recording, seconds, arguments.rate, arguments.channels)
                for _ in range(arguments.runs):
                    ratios.append(compare(recording, model, arguments.options))
    for name, values in zip(("seconds", "MB"), zip(*ratios, strict=True), strict=True):
        report(name, list(values))


if __name__ == "__main__":
    main()
