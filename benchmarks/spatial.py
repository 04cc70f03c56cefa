"""Quality of separation by place, by independence and by timbre on artificial mixtures.

    python benchmarks/spatial.py

Mixes synthetic talkers at known places and prints Markdown tables of the SI-SDR improvement in dB: the mean
over the sources of several mixtures, for the best order of the estimates.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from soloist.datasets import synthesize_band, synthesize_talker
from soloist.metrics import si_sdr
from soloist.separators import ICA, Duet, Projet, Separator, SpatialClustering, TimbreClustering

RATE = 16_000
SECONDS = 8.0

# Level (dB) and delay (samples) of the second channel relative to the first, for each talker.
PLACES: dict[str, list[tuple[float, float]]] = {
    "two talkers, 12 dB apart": [(-6, 0), (6, 0)],
    "three talkers, 8 dB apart": [(-8, 0), (0, 0), (8, 0)],
    "two talkers, 4 samples apart": [(0, -2), (0, 2)],
    "two talkers, 6 dB and 3 samples apart": [(-3, 1.5), (3, -1.5)],
}

SEPARATORS: dict[str, Callable[[int], Separator]] = {
    "Duet": lambda count: Duet(count, sample_rate=RATE),
    "Duet, as nussl released it": lambda count: Duet(
        count, sample_rate=RATE, bins=(50, 50), as_released=True
    ),
    "SpatialClustering, max_delay 3": lambda count: SpatialClustering(count, sample_rate=RATE, max_delay=3.0),
    "Projet": lambda count: Projet(count, sample_rate=RATE),
    "Projet, 9 x 9 places, 5 x 5 projections, max_delay 3": lambda count: Projet(
        count, sample_rate=RATE, places=(9, 9), projections=(5, 5), max_delay=3.0
    ),
    "ICA": lambda count: ICA(sample_rate=RATE),
}


def talkers_at(places: list[tuple[float, float]], first: int) -> Tensor:
    """Make talkers `(1, sources, 2, samples)` of equal loudness, without echoes."""
    sources = []
    for index, (level, delay) in enumerate(places):
        voice = synthesize_talker(SECONDS, talker=first + index, sample_rate=RATE)[0].astype(np.float64)
        voice *= 0.05 / voice.std()
        spectrum = np.fft.rfft(voice, 2 * len(voice))
        turn = np.exp(-1j * np.pi * np.linspace(0, 1, len(spectrum)) * delay)
        gain = 10 ** (level / 20)
        second = gain * np.fft.irfft(spectrum * turn)[: len(voice)]
        sources.append(np.stack([voice, second]) / np.hypot(1, gain))
    return torch.from_numpy(np.stack(sources)).float()[None]


def improvement(references: Tensor, estimates: Tensor) -> float:
    """Mean SI-SDR improvement, dB."""
    mixture = references.sum(dim=1)
    count = references.shape[1]
    table = [[float(si_sdr(references[:, i], estimates[:, j])) for j in range(count)] for i in range(count)]
    best = max(sum(table[i][j] for i, j in enumerate(order)) for order in permutations(range(count)))
    return (best - sum(float(si_sdr(references[:, i], mixture)) for i in range(count))) / count


def place_table(mixtures: int, only: str) -> None:
    """Score separators by place, and ICA, on talkers at known places."""
    print(f"| separator | {' | '.join(PLACES)} | s per s |")
    print("|---|" + "---|" * (len(PLACES) + 1))
    for name, build in SEPARATORS.items():
        if not name.startswith(only):
            continue
        cells, spent, duration = [], 0.0, 0.0
        for places in PLACES.values():
            if name == "ICA" and len(places) > 2:
                cells.append("two sources only")
                continue
            gains = []
            for index in range(mixtures):
                references = talkers_at(places, 3 * index)
                began = time.process_time()
                estimates = build(len(places))(references.sum(dim=1))
                spent, duration = spent + time.process_time() - began, duration + SECONDS
                gains.append(improvement(references, estimates))
            cells.append(f"{np.mean(gains):.1f} dB")
        print(f"| {name} | {' | '.join(cells)} | {spent / duration:.3f} |", flush=True)


def timbre_table(mixtures: int) -> None:
    """Score clusters of timbre on pairs of equally loud instruments of the synthetic band."""
    print("\n| stems | TimbreClustering |\n|---|---|")
    for pair in (("vocals", "bass"), ("drums", "other"), ("drums", "bass"), ("drums", "vocals")):
        gains = []
        for seed in range(mixtures):
            band = synthesize_band(SECONDS, sample_rate=22_050, seed=seed)
            stems = [torch.from_numpy(band[stem]) for stem in pair]
            references = torch.stack([stem / stem.std() for stem in stems])[None]
            separator = TimbreClustering(sample_rate=22_050, channels=references.shape[2])
            gains.append(improvement(references, separator(references.sum(dim=1))))
        print(f"| {' and '.join(pair)} | {np.mean(gains):.1f} dB ({min(gains):.1f} to {max(gains):.1f}) |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mixtures", type=int, default=5, help="number of mixtures of each kind")
    parser.add_argument("--only", default="", help="beginning of the names of separators by place to score")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        place_table(options.mixtures, options.only)
        timbre_table(options.mixtures)


if __name__ == "__main__":
    main()
