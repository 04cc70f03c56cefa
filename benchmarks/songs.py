"""Quality of models that separate vocals from the rest, on real songs with true stems.

    soloist models download spleeter-2stems
    python benchmarks/songs.py SONGS... [--models two-stage-hpss spleeter-2stems spleeter-2stems+wiener] \
        [--precisions float32 bfloat16]

SONGS are folders of stems (`vocals.ogg`, `drums.ogg`, ...), `*.stem.mp4` files, or folders of these. The
excerpts of each song with the loudest vocals are separated as `soloist separate` does. Prints a line for each
song and model: SDR and SIR of BSS Eval v4 in windows of one second, the median over the excerpts' windows in
which the reference sounds. `+wiener` puts norbert's multichannel Wiener filter in place of masks.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soloist.datasets import StemTrack, find_stem_tracks
from soloist.estimation import WienerEM
from soloist.inference import PRECISIONS, make_engine, measure_level, separate_stream
from soloist.metrics import bss_eval
from soloist.separators import Separator
from soloist.zoo import card_of, load

QUIET = 1e-5  # Smallest mean power of an audible window, relative to full scale.
WIENER = "+wiener"


def make_separator(name: str, rate: int) -> Separator:
    """Load a model, for recordings of a rate if it is one for any."""
    base = name.removesuffix(WIENER)
    separator = load(base, **({"sample_rate": rate} if card_of(base).sample_rate is None else {}))
    if name.endswith(WIENER):
        separator.wiener = WienerEM(iterations=1, start="mask", window=None, eps=2.0**-23)
    return separator


def loudest_excerpts(track: StemTrack, count: int, seconds: float) -> Iterator[tuple[Tensor, Tensor]]:
    """Mixture `(channels, samples)`, and references of vocals and rest `(2, channels, samples)`."""
    stems = {name: stem.read()[0] for name, stem in track.stems.items()}
    vocals = stems.pop("vocals")
    references = np.stack([vocals, np.sum(list(stems.values()), axis=0)])
    mixture = np.concatenate(list(track.mixture_blocks()), axis=1)
    length = min(round(seconds * track.sample_rate), mixture.shape[1])
    whole = vocals[:, : vocals.shape[1] // length * length]
    powers = np.square(whole).reshape(len(vocals), -1, length).sum(axis=(0, 2))
    for index in sorted(np.argsort(-powers)[:count]):
        cut = slice(index * length, (index + 1) * length)
        yield torch.from_numpy(mixture[:, cut]), torch.from_numpy(references[..., cut])


def estimate(separator: Separator, mixture: Tensor, rate: int, precision: str) -> Tensor:
    """Estimates of vocals and rest, `(2, channels, samples)`; the rest of one source is what it leaves."""
    audio = mixture.numpy()
    engine = make_engine("torch", separator, precision=precision)
    pairs = separate_stream(separator, [audio], rate, engine=engine, level=measure_level([audio]))
    estimates = torch.from_numpy(np.concatenate([block for _, block in pairs], axis=-1))
    vocals = estimates[separator.sources.index("vocals")]
    return torch.stack([vocals, estimates.sum(dim=0) - vocals if len(estimates) > 1 else mixture - vocals])


def score(track: StemTrack, separator: Separator, count: int, seconds: float, precision: str) -> list[float]:
    """Medians of vocals' SDR and SIR, and of the rest's SDR and SIR, dB."""
    rate, windows = track.sample_rate, []
    for mixture, references in loudest_excerpts(track, count, seconds):
        ratios = bss_eval(references, estimate(separator, mixture, rate, precision), window=rate, hop=rate)
        sounding = references.square().mean(dim=1).unfold(-1, rate, rate).mean(dim=-1) > QUIET
        values = torch.stack([ratios.sdr, ratios.sir], dim=1)
        windows.append(values.masked_fill(~sounding[:, None], torch.nan))
    return np.nanmedian(torch.cat(windows, dim=-1), axis=-1).flatten().tolist()


def main() -> None:
    """Score every model on every song and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("songs", nargs="+", type=Path)
    parser.add_argument("--models", nargs="+", default=["two-stage-hpss", "spleeter-2stems"])
    parser.add_argument("--excerpts", type=int, default=2, help="number of excerpts per song")
    parser.add_argument("--seconds", type=float, default=30, help="length of an excerpt in seconds")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=["float32"])
    options = parser.parse_args()
    print("| song | model | vocals SDR | SIR | rest SDR | SIR |\n|---|---|---:|---:|---:|---:|")
    for path in options.songs:
        for found in find_stem_tracks(path):
            track = found.open()
            for name, precision in product(options.models, options.precisions):
                separator = make_separator(name, track.sample_rate)
                figures = score(track, separator, options.excerpts, options.seconds, precision)
                cells = " | ".join(f"{figure:.2f}" for figure in figures)
                model = name if precision == "float32" else f"{name} in {precision}"
                print(f"| {found.name} | {model} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
