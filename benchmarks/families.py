"""Train one small network of every family on the same songs, and draw how good each is against what it costs.

    python benchmarks/families.py RUNS
    python benchmarks/families.py RUNS --profile-only

Each family is a shipped tiny recipe on other material: the synthetic band, mono at 8 kHz, stems of different
songs mixed at random. All learn from the same examples, as many of them, in the same order, and keep their
network, their optimizer and, but for its permutations, their loss. Networks that tell sources apart learn all
four stems, which have an order; the others learn the lead voice alone, as their recipes do. What is compared
is the lead voice of the same songs that nobody has learned from, each as a whole.

What is done already is not done again: a run that was stopped goes on. The pictures and tables are written
to RUNS when all are trained; their times want an idle machine, for which `--profile-only` takes them anew.
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

STEMS = ["vocals", "drums", "bass", "other"]

_EPOCHS = 4

# The same for all, in place of what a recipe says.
COMMON: dict[str, Any] = {
    "data": {
        "train": {
            "class_path": "soloist.mixing.stems.StemMixer",
            "init_args": {
                "corpus": {
                    "class_path": "soloist.datasets.layouts.synthetic.SyntheticBand",
                    "init_args": {"songs": 32, "seconds": 20.0, "sample_rate": 8000},
                },
                "split": "train",
                # 64 frames of the U-Nets.
                "duration": 2.016,
                "coherence": 0.0,
            },
        },
        "valid": {"split": "valid", "coherence": 1.0},
        "test": {"other songs": {"split": "test", "coherence": 1.0, "duration": None}},
        "batch_size": 8,
        "examples_per_epoch": 400,
        "valid_examples": 16,
        # So that each song is made once.
        "workers": 0,
    },
    "trainer": {"max_epochs": _EPOCHS, "gradient_clip_val": 5.0},
    "scheduler": {
        "class_path": "torch.optim.lr_scheduler.CosineAnnealingLR",
        "init_args": {"T_max": _EPOCHS, "eta_min": 1e-5},
    },
    "ema": None,
    "monitor": "valid/sdri",
    "card": {},
}

_BAND_STEMS = {"separator.sources": STEMS, "separator.channels": 1}
_IN_ORDER = {**_BAND_STEMS, "separator.ordered": True}
_FILTERBANK = {
    **_IN_ORDER,
    "separator.filterbank.num_sources": len(STEMS),
    "separator.network.num_outputs": len(STEMS),
    # Not scale-invariant, since the level of a stem matters.
    "loss": {"class_path": "soloist.losses.ratios.SNR"},
}
_PHASE_SENSITIVE = {
    "class_path": "soloist.losses.spectrogram.PhaseSensitiveLoss",
    "init_args": {"distance": "l1"},
}
_WHITENED = {"class_path": "soloist.losses.clustering.WhitenedKMeans", "init_args": {"weights": "magnitude"}}
_MULTI_DOMAIN = {
    "spectrogram": {
        "class_path": "soloist.losses.spectrogram.SpectrogramLoss",
        "init_args": {"distance": "mse", "representation": "magnitude"},
    },
    "waveform": {"class_path": "soloist.losses.weighted_sdr.WeightedSDR"},
    "coefficient": 10.0,
}

# What each family is called, the recipe that it begins from, and what differs from it.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "sudormrf": ("tiny-sudormrf", _FILTERBANK),
    "sudormrf-causal": ("tiny-sudormrf-causal", _FILTERBANK),
    "sudormrf-groupcomm": ("tiny-sudormrf-groupcomm", _FILTERBANK),
    "sudormrf-attentive": ("tiny-sudormrf-attentive", _FILTERBANK),
    "sudormrf-original": ("tiny-sudormrf-original", _FILTERBANK),
    "conv-tasnet": ("tiny-conv-tasnet", _FILTERBANK),
    "tasnet": ("tiny-tasnet", _FILTERBANK),
    "dual-path": ("tiny-dual-path", _FILTERBANK),
    "tdf": ("tiny-tdf", {}),
    "tdc": ("tiny-tdc", {}),
    "tfc": ("tiny-tfc", {}),
    "tfc-tdf": ("tiny-tfc-tdf", {}),
    "tdc-rnn": ("tiny-tdc-rnn", {}),
    "spectrogram-net": ("tiny-spectrogram-net", {}),
    "spectrogram-net-lstm": ("tiny-spectrogram-net-lstm", {}),
    "spectrogram-net-vae": ("tiny-spectrogram-net-vae", {}),
    "umx": ("tiny-umx", {}),
    "xumx": (
        "tiny-umx",
        {
            "separator.network.class_path": "soloist.networks.open_unmix.CrossNetOpenUnmix",
            "loss": {
                "class_path": "soloist.losses.composition.MultiDomain",
                "init_args": _MULTI_DOMAIN,
            },
        },
    ),
    "xumx-slicq": ("tiny-slicq", {}),
    "mask-inference": (
        "tiny-mask-inference",
        {**_IN_ORDER, "separator.network.outputs": len(STEMS), "loss": _PHASE_SENSITIVE},
    ),
    "chimera": (
        "tiny-chimera",
        {
            **_IN_ORDER,
            "separator.network.outputs": 20 + len(STEMS),
            "loss": {
                "class_path": "soloist.losses.composition.WeightedSum",
                "init_args": {"weights": [0.1, 1.0], "losses": [_WHITENED, _PHASE_SENSITIVE]},
            },
        },
    ),
    "deep-clustering": ("tiny-deep-clustering", _BAND_STEMS),
}


def train(family: str, runs: Path) -> None:
    """Train a family, unless that is done; go on where it was stopped."""
    run = runs / family
    if (run / "results.json").is_file():
        return
    base, differences = FAMILIES[family]
    file = runs / f"{family}.yaml"
    file.write_text(yaml.safe_dump({"recipe": base, **COMMON, **differences}, sort_keys=False))
    begun = time.perf_counter()
    there = (run / "recipe.yaml").is_file()
    call("train", *(["--resume", run] if there else [file, "--output", run]), "--quiet")
    print(f"{family}: {quality(run):.2f} dB after {time.perf_counter() - begun:.0f} s", flush=True)


def quality(run: Path) -> float:
    """By how many dB the SDR of the lead voice is better than that of the mixture: the mean over songs.

    Clusters have no order: that which fits the stems best counts, and their first is the lead voice.
    """
    with (run / "results.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["source"] in (STEMS[0], "1")]
    return float(np.mean([float(row["sdri"]) for row in rows]))


def profile(families: list[str], runs: Path) -> None:
    """Measure what all cost, and write tables and picture."""
    known = [f"--quality={family}={quality(runs / family):.2f}" for family in families]
    case = ("--duration=4", "--batch=1", "--threads=2", "--budget=1")
    files = ("--markdown=families.md", "--csv=families.csv", "--plot=families.png")
    measure = "--measure=SDR of the lead voice above the mixture (dB)"
    # Within the folder, where a family's name is that of its run.
    call("profile", *families, *known, measure, *case, *files, folder=runs)


def call(*arguments: object, folder: Path | None = None) -> None:
    """Run the command line."""
    command = [sys.executable, "-m", "soloist.cli.main", *map(str, arguments)]
    subprocess.run(command, cwd=folder, check=True)


def main() -> None:
    """Train what is not trained, and measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--only", default="", help="families, with commas between them")
    parser.add_argument("--profile-only", action="store_true", help="only measure what is trained")
    options = parser.parse_args()
    runs: Path = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    chosen = options.only.split(",") if options.only else list(FAMILIES)
    if not options.profile_only:
        for family in chosen:
            train(family, runs)
    profile([family for family in chosen if (runs / family / "results.json").is_file()], runs)


if __name__ == "__main__":
    main()
