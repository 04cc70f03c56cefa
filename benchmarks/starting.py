"""Time of a whole `soloist separate` of ten seconds, against Python plus PyTorch's own import.

    python benchmarks/starting.py
    python benchmarks/starting.py --models small-crn-denoise spleeter-2stems --rounds 9

Runs `python -c "import torch"` and the command in turns, each in a process of its own, after one run of each
that fills the caches of files and of bytecode, and prints medians, the range and the ratio. The models must
be on disk. `--imports` lists what the command imports that PyTorch does not, with the time of each package.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

from soloist.datasets import synthesize_band

SAMPLE_RATE, SECONDS = 44100, 10.0
IMPORT_OF_TORCH = ("-c", "import torch")


def write_recording(path: Path) -> None:
    """Write ten seconds of the synthetic band."""
    stems = synthesize_band(SECONDS, sample_rate=SAMPLE_RATE, seed=0)
    soundfile.write(path, np.sum(list(stems.values()), axis=0).T, SAMPLE_RATE)


def run(arguments: tuple[str, ...], *flags: str) -> tuple[float, str]:
    """Seconds of a Python process, and what it wrote to standard error."""
    # Installed packages come with bytecode.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    begun = time.perf_counter()
    command = [sys.executable, *flags, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return time.perf_counter() - begun, done.stderr


def imported(arguments: tuple[str, ...]) -> dict[str, int]:
    """Microseconds that a process spends in each module, without those that it imports."""
    told = run(arguments, "-X", "importtime")[1]
    lines = re.findall(r"^import time:\s+(\d+) \|\s+\d+ \| \s*(\S+)$", told, re.M)
    return {name: int(own) for own, name in lines}


def print_imports(command: tuple[str, ...]) -> None:
    """Print the packages that a command imports and PyTorch does not, the slowest first."""
    known = imported(IMPORT_OF_TORCH)
    packages: Counter[str] = Counter()
    for name, own in imported(command).items():
        if name not in known:
            packages[name.partition(".")[0]] += own
    for package, own in packages.most_common(15):
        print(f"  {own / 1000:6.1f} ms  {package}")


def main() -> None:
    """Run all in turns and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["small-crn-denoise", "hpss"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--imports", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        recording = Path(name) / "ten.wav"
        write_recording(recording)
        given = (str(recording), "-o", name, "--overwrite", "-q", "-m")
        separate = ("-m", "soloist.cli.main", "separate", *given)
        commands = {model: (*separate, model) for model in arguments.models}
        commands = {"import torch": IMPORT_OF_TORCH, **commands}
        seconds: dict[str, list[float]] = {label: [] for label in commands}
        for round_number in range(arguments.rounds + 1):
            for label, command in commands.items():
                taken, _ = run(command)
                if round_number:
                    seconds[label].append(taken)
        least = statistics.median(seconds["import torch"])
        for label, taken_all in seconds.items():
            middle = statistics.median(taken_all)
            spread = f"{min(taken_all):.2f} to {max(taken_all):.2f}"
            print(f"{label:24} {middle:.2f} s ({spread}), {middle / least:.2f} times import torch")
            if arguments.imports and label != "import torch":
                print_imports(commands[label])


if __name__ == "__main__":
    main()
