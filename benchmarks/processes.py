"""Songs for benchmarks, and the time and memory of whole processes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from soloist.datasets import synthesize_band


class Cost(NamedTuple):
    """Cost of a process: seconds, peak memory (maximum resident set) in MB of 10^6 bytes, and its output."""

    seconds: float
    memory: float
    output: str = ""


def write_song(
    path: Path,
    seconds: float,
    *,
    sample_rate: int = 44100,
    mono: bool = False,
    subtype: str = "PCM_16",
) -> None:
    """Write half a minute of the synthetic band, repeated, as WAV."""
    stems = synthesize_band(30.0, sample_rate=sample_rate, seed=0)
    mixture = np.sum(list(stems.values()), axis=0).T
    if mono:
        mixture = mixture.mean(axis=1, keepdims=True)
    samples = round(seconds * sample_rate)
    with soundfile.SoundFile(path, "w", sample_rate, mixture.shape[1], subtype) as file:
        while samples > 0:
            file.write(mixture[:samples])
            samples -= len(mixture)


def measure_process(command: Sequence[object], variables: Mapping[str, object]) -> Cost:
    """Cost of a process and of the processes that it waited for.

    Args:
        command: Program and arguments.
        variables: Environment variables beside those of this process.

    Raises:
        SystemExit: The process failed; the end of what it wrote says why.
    """
    words = [str(each) for each in command]
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    begun = time.perf_counter()
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    output = process.stdout.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words[:4])} failed: {output[-2000:]}")
    return Cost(time.perf_counter() - begun, usage.ru_maxrss * 1024 / 1e6, output)
