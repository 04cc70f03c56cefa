"""Train one small network of every family on the same songs, and draw quality against cost.

    python benchmarks/families.py RUNS
    python benchmarks/families.py RUNS --profile-only

Each family is a shipped tiny recipe on the data of families.yaml: the synthetic band, mono at 8 kHz, random
mixtures of stems of different songs. All train on the same examples in the same order, with the recipe's
network, optimizer and loss (without permutations). Networks of several sources train on all four stems,
which have an order; the others on the lead voice alone, as in the recipes. The comparison is the lead voice
of whole songs of the test split.

Finished trainings are not repeated, and interrupted ones continue. Figures and tables are written to RUNS
after all trainings; `--profile-only` repeats the measurement of times on an idle machine.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

CONFIG: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
FAMILIES: dict[str, dict[str, Any]] = CONFIG["families"]


def train(family: str, runs: Path) -> None:
    """Train a family, or continue an interrupted training."""
    run = runs / family
    if (run / "results.json").is_file():
        return
    file = runs / f"{family}.yaml"
    file.write_text(yaml.safe_dump({**CONFIG["same"], **FAMILIES[family]}, sort_keys=False), encoding="utf-8")
    begun = time.perf_counter()
    there = (run / "recipe.yaml").is_file()
    call("train", *(["--resume", run] if there else [file, "--output", run]), "--quiet")
    print(f"{family}: {quality(run):.2f} dB after {time.perf_counter() - begun:.0f} s", flush=True)


def quality(run: Path) -> float:
    """Mean improvement of the SDR of the lead voice over the mixture, dB.

    Clusters have no order: the best permutation counts, and its first source is the lead voice.
    """
    with (run / "results.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["source"] in ("vocals", "1")]
    return float(np.mean([float(row["sdri"]) for row in rows]))


def profile(families: list[str], runs: Path) -> None:
    """Measure the costs of all models, and write tables and figure."""
    known = [f"--quality={family}={quality(runs / family):.2f}" for family in families]
    case = ("--duration=4", "--batch=1", "--threads=2", "--budget=1")
    files = ("--markdown=families.md", "--csv=families.csv", "--plot=families.png")
    measure = "--measure=SDR of the lead voice above the mixture (dB)"
    # In the folder of the runs, names of runs are names of families.
    call("profile", *families, *known, measure, *case, *files, folder=runs)


def call(*arguments: object, folder: Path | None = None) -> None:
    """Run the command line."""
    command = [sys.executable, "-m", "soloist.cli.main", *map(str, arguments)]
    subprocess.run(command, cwd=folder, check=True)


def main() -> None:
    """Train the missing models, and measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--profile-only", action="store_true", help="measure the trained models only")
    options = parser.parse_args()
    runs: Path = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    if not options.profile_only:
        for family in options.only:
            train(family, runs)
    profile([family for family in options.only if (runs / family / "results.json").is_file()], runs)


if __name__ == "__main__":
    main()
