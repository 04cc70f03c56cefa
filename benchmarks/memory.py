"""Peak memory of `soloist separate`, independent of the length of the recording.

    python benchmarks/memory.py --minutes 60
    python benchmarks/memory.py --minutes 20 --model path/to/tdc17-vocals-top1 --two-stems vocals

Separates a recording and one of a tenth of its length in separate processes, and prints the peak memory of
each process (maximum resident set) and the ratio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import write_song


def separate(recording: Path, folder: Path, options: list[str]) -> dict[str, float]:
    """Separate in a new process and return its report."""
    command = [
        sys.executable,
        "-m",
        "soloist.cli.main",
        "separate",
        str(recording),
        "-o",
        str(folder),
        "--json",
    ]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    report: dict[str, float] = json.loads(done.stdout)
    return report


def main() -> None:
    """Compare the two lengths and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--model", default=None)
    parser.add_argument("--two-stems", default=None)
    arguments = parser.parse_args()
    options = ["--model", arguments.model] if arguments.model else []
    options += ["--two-stems", arguments.two_stems] if arguments.two_stems else []
    peaks = []
    for minutes in (arguments.minutes / 10, arguments.minutes):
        with tempfile.TemporaryDirectory() as folder:
            recording = Path(folder) / "recording.wav"
            write_song(recording, 60 * minutes)
            report = separate(recording, Path(folder) / "out", options)
        peaks.append(report["peak_memory_mb"])
        print(
            f"{minutes:6.1f} min: peak {peaks[-1]:.0f} MB, {report['elapsed']:.0f} s "
            f"({1 / report['real_time_factor']:.1f} times real time)",
            flush=True,
        )
    print(f"ratio {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
