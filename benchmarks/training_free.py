"""Quality and speed of training-free separators on real songs.

    SOLOIST_SHARED=... python benchmarks/training_free.py

Reads complete songs with their stems (`data/songs/<song>/{vocals,drums,bass,other}.ogg`), separates the
excerpts with the loudest vocals in chunks, as `soloist separate` does, and prints a Markdown table. The
scores are signal-to-distortion ratios, 10 log10(|s|^2 / |e - s|^2), of one-second windows with an audible
reference: the mean over the songs of each song's median. The improvement is relative to the mixture as
estimate.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from soloist.separators import (
    FT2D,
    HPSS,
    RPCA,
    Chunking,
    EnsembleClustering,
    Repet,
    RepetSim,
    Separator,
    TwoStageHPSS,
    separate_chunked,
)

RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")
QUIET = 1e-5  # Smallest mean power of an audible reference, relative to full scale.

# Name, separator, stem that is the target, and index of the target among the sources.
SEPARATORS: list[tuple[str, Callable[[], Separator], str, int]] = [
    ("TwoStageHPSS", TwoStageHPSS, "vocals", 0),
    ("EnsembleClustering", EnsembleClustering, "vocals", 0),
    ("Repet", Repet, "vocals", 0),
    ("RepetSim", RepetSim, "vocals", 0),
    ("RepetSim, 4096-point window", lambda: RepetSim(n_fft=4096), "vocals", 0),
    ("FT2D, threshold", FT2D, "vocals", 0),
    ("FT2D, prominence", lambda: FT2D(peaks="prominence"), "vocals", 0),
    ("RPCA, hard mask", RPCA, "vocals", 0),
    ("RPCA, soft mask", lambda: RPCA(mask="soft"), "vocals", 0),
    ("HPSS, soft mask", HPSS, "drums", 1),
    ("HPSS, hard mask", lambda: HPSS(mask="hard"), "drums", 1),
]


def loudest_excerpts(folder: Path, count: int, seconds: int) -> Iterator[dict[str, Tensor]]:
    """Read the stems `(channels, samples)` of a song's excerpts with the loudest vocals."""
    length = seconds * RATE
    vocals, _ = soundfile.read(folder / "vocals.ogg", dtype="float32", always_2d=True)
    whole = vocals[: len(vocals) // length * length].reshape(-1, length * vocals.shape[1])
    for index in sorted(np.argsort(-np.square(whole).sum(axis=1))[:count]):
        yield {
            stem: torch.from_numpy(
                soundfile.read(
                    folder / f"{stem}.ogg", length, int(index) * length, dtype="float32", always_2d=True
                )[0].T
            )
            for stem in STEMS
        }


def windowed_sdr(reference: Tensor, estimate: Tensor) -> Tensor:
    """Ratios in dB `(windows,)` of `(channels, samples)`; NaN if the reference is quiet."""
    windows = reference.shape[1] // RATE
    cut = (reference.shape[0], windows, RATE)
    reference = reference[:, : windows * RATE].reshape(cut)
    error = estimate[:, : windows * RATE].reshape(cut) - reference
    power, distortion = (signal.square().mean(dim=(0, 2)) for signal in (reference, error))
    ratios = 10 * torch.log10(power / distortion.clamp(min=1e-12))
    return ratios.where(power > QUIET, torch.nan)


def score(separator: Separator, songs: list[list[dict[str, Tensor]]], target: str, place: int) -> list[float]:
    """SDR and improvement of the target, the same of the rest (dB), and seconds per second of audio."""
    medians, spent, duration = [], 0.0, 0.0
    for excerpts in songs:
        ratios = []
        for stems in excerpts:
            mixture = torch.stack(list(stems.values())).sum(dim=0)
            began = time.perf_counter()
            estimates = separate_chunked(separator, mixture[None], Chunking.of(separator))[0]
            spent, duration = spent + time.perf_counter() - began, duration + mixture.shape[1] / RATE
            references = (stems[target], mixture - stems[target])
            for reference, estimate in zip(references, (estimates[place], estimates[1 - place]), strict=True):
                ratio = windowed_sdr(reference, estimate)
                ratios += [ratio, ratio - windowed_sdr(reference, mixture)]
        medians.append([torch.cat(ratios[kind::4]).nanmedian().item() for kind in range(4)])
    return [*np.mean(medians, axis=0), spent / duration]


def main() -> None:
    """Score every separator and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--excerpts", type=int, default=3, help="number of excerpts per song")
    parser.add_argument("--seconds", type=int, default=30, help="length of an excerpt in seconds")
    parser.add_argument("--only", default="", help="beginning of the names of the separators to score")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folders = sorted((Path(os.environ["SOLOIST_SHARED"]) / "data" / "songs").glob("*/"))
    songs = [list(loudest_excerpts(folder, options.excerpts, options.seconds)) for folder in folders]
    print("| separator | target | SDR | improvement | rest: SDR | improvement | s per s |")
    print("|---|---|---|---|---|---|---|")
    for name, build, target, place in SEPARATORS:
        if name.startswith(options.only):
            with torch.inference_mode():
                *ratios, pace = score(build(), songs, target, place)
            cells = [f"{ratio:.2f} dB" for ratio in ratios]
            print(f"| {name} | {target} | {' | '.join(cells)} | {pace:.3f} |", flush=True)


if __name__ == "__main__":
    main()
