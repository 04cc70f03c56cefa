"""Counts by format of damaged files: `PYTHONPATH=tests python -m hostile --files 2000 --seeds 1 2 3`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hostile.trial import Outcome, Trial, is_bad, separate_all, stray_lines, table, write_corpus


def run_seed(seed: int, count: int) -> tuple[Trial, bool]:
    """Try the files of a seed, and print what is bad."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_corpus(Path(folder), count, seed)
        trial = separate_all(files, Path(folder) / "out")
    bad = [*map(str, filter(is_bad, trial.outcomes)), *stray_lines(trial)]
    for line in bad:
        print(f"seed {seed}: {line}")
    return trial, bool(bad)


def main() -> int:
    """Run the trial of each seed; the exit status is 1 if anything is bad."""
    parser = argparse.ArgumentParser(prog="hostile", description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="damaged files for each seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="seeds of the damage")
    arguments = parser.parse_args()
    outcomes: list[Outcome] = []
    failed = False
    for seed in arguments.seeds:
        trial, bad = run_seed(seed, arguments.files)
        outcomes += trial.outcomes
        failed |= bad
    print(table(outcomes))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
