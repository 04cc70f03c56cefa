"""Denoisers on 60 mixtures of speech and environmental noise at 0, 5 and 10 dB.

Twenty utterances of LibriSpeech, each with a clip of ESC-10, two of each class. The mixtures and the rule are
those of the file, which also holds figures of the original programs. Figures: improvement of SI-SDR over the
noisy mixture, dB.

    python benchmarks/denoise.py SHARED [--models ulunas dtln gtcrn gtcrn-stream] [--first 0] [--last 60]
    python benchmarks/denoise.py SHARED --held-out [--models small-crn-denoise ulunas ...]
    python benchmarks/denoise.py SHARED --band

`--held-out` takes 150 other mixtures, of the 25 talkers and the fold of ESC-10 that the recipe
small-crn-denoise holds out: each talker twice, with clips of all classes. A model is a name or a folder.

`--band` measures the band above the models', once silent, once untouched, and once with the gain of the band
below: the models hear the lower half of the speech's band only, and the upper half is scored. SHARED is the
folder of `reference` and `data`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.signal import butter, resample_poly, sosfiltfilt
from torch import Tensor

from soloist.audio import Audio, read_audio, resample_audio
from soloist.datasets import Corpus
from soloist.metrics import si_sdr
from soloist.separators import Denoiser, Separator
from soloist.training import read_recipe
from soloist.zoo import load

RATE, SECONDS, SNRS = 16000, 8, (0, 5, 10)
OWN = "small-crn-denoise"
NAMES = {
    "ulunas": "ulunas_dns3",
    "dtln": "dtln_pytorch",
    "gtcrn": "gtcrn_dns3",
    "gtcrn-stream": "gtcrn_dns3_stream",
}


def mix(speech: Audio, noise: Audio, snr_db: float) -> tuple[Audio, Audio]:
    """Mixture and reference, with repeated noise; scaled to a peak of 0.99 where the mixture exceeds it."""
    noise = np.tile(noise, -(-speech.size // noise.size))[: speech.size]
    noise = noise * np.sqrt(np.square(speech).sum() / np.square(noise).sum() / 10 ** (snr_db / 10))
    mixture = speech + noise
    scale = min(1.0, 0.99 / np.abs(mixture).max())
    return (mixture * scale).astype(np.float32), (speech * scale).astype(np.float32)


def noise_at(path: Path, rate: int) -> Audio:
    """First channel of a clip, resampled."""
    clip, clip_rate = read_audio(path)
    divisor = np.gcd(rate, clip_rate)
    return resample_poly(clip[0].astype(np.float64), rate // divisor, clip_rate // divisor).astype(np.float32)


def mixtures(shared: Path, rows: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Audio, Audio]]:
    """Mixture and reference of each row of the file."""
    for row in rows:
        speech, _ = read_audio(shared / "data" / "speech" / row["speech"])
        noise = noise_at(shared / "data" / "esc10" / row["noise"], RATE)
        yield (
            row,
            *mix(speech[0, : SECONDS * RATE].astype(np.float64), noise.astype(np.float64), row["snr_db"]),
        )


def held_out(shared: Path) -> Iterator[tuple[dict[str, Any], Audio, Audio]]:
    """Mixture and reference of each talker that the recipe holds out, with noises that it holds out."""
    recipe = read_recipe(OWN, [("data.root", str(shared / "data"))])
    parts = recipe.resolve(recipe.data.train)["init_args"]
    talkers, clips = (
        recipe.build(part, Corpus).tracks("test") for part in (parts["corpus"], parts["noises"][0])
    )
    classes: dict[str, list[Path]] = {}
    for clip in clips:
        classes.setdefault(clip.labels[0], []).append(clip.stems["category"].path)
    for number, talker in enumerate(list(talkers) * 2):
        speech, _ = talker.stems["speaker_name"].read(0.0, SECONDS)
        alike = list(classes.values())[number % len(classes)]
        noise = noise_at(alike[number // len(classes)], RATE)
        for snr in SNRS:
            yield {"snr_db": snr}, *mix(speech[0].astype(np.float64), noise.astype(np.float64), snr)


def score(reference: Audio, estimate: Audio) -> float:
    """SI-SDR with the means taken off, dB."""
    return float(si_sdr(*(torch.from_numpy(x).double()[None] for x in (reference, estimate)), zero_mean=True))


@torch.no_grad()
def separate(separator: Separator, mixture: Audio) -> Audio:
    """Source in a mixture `(samples,)`."""
    return separator(torch.from_numpy(mixture)[None, None])[0, 0, 0].numpy()


def measure(models: list[str], heard: Iterable[tuple[dict[str, Any], Audio, Audio]]) -> None:
    """Print the table of the improvements."""
    separators = {name: load(name).optimize() for name in models}
    found: dict[str, list[tuple[int, float, float]]] = {name: [] for name in models}
    for row, mixture, reference in heard:
        noisy = score(reference, mixture)
        for name, separator in separators.items():
            gain = score(reference, separate(separator, mixture)) - noisy
            published = row[NAMES[name]] - row["mix_si_sdr"] if NAMES.get(name) in row else float("nan")
            found[name].append((row["snr_db"], gain, published))
    print("| model | 0 dB | 5 dB | 10 dB | all | worst | original: all | worst | largest difference |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, gains in found.items():
        table = np.array(gains)
        parts = [table[table[:, 0] == snr, 1] for snr in SNRS]
        shown = " | ".join(f"{part.mean():.2f}" if part.size else "" for part in (*parts, table[:, 1]))
        theirs = table[:, 2]
        print(
            f"| {name} | {shown} | {table[:, 1].min():.2f} | {theirs.mean():.2f} | {theirs.min():.2f} | "
            f"{np.abs(table[:, 1] - theirs).max():.3f} |"
        )


class HalfBand(Separator):
    """Model of speech in a band half as wide as its own, whose upper half it does not hear.

    Args:
        model: The model.
    """

    def __init__(self, model: Separator) -> None:
        super().__init__(sources=("speech",), sample_rate=RATE // 2)
        self.model = model

    def estimate(self, mixture: Tensor) -> Tensor:
        """Estimate the speech in one mixture `(1, 1, samples)` at half the rate of the model."""
        wide = resample_audio(mixture[0].numpy(), RATE // 2, RATE)
        speech = resample_audio(separate(self.model, wide[0])[None], RATE, RATE // 2)
        return torch.from_numpy(speech)[None, None, :, : mixture.shape[-1]]


def measure_band(models: list[str], heard: Iterable[tuple[dict[str, Any], Audio, Audio]]) -> None:
    """Print SI-SDR improvements for three ways with the band above a model's.

    No wider speech is there: the models hear the lower half of the band, and the upper half is scored.
    """
    above = butter(8, RATE / 4, "high", fs=RATE, output="sos")
    halves = {name: HalfBand(load(name).optimize()) for name in models}
    table: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _, mixture, reference in heard:
        seen = resample_audio(mixture[None], RATE, RATE // 2)
        low = resample_audio(seen, RATE // 2, RATE)[0, : mixture.size]
        high = [sosfiltfilt(above, x).copy() for x in (reference, mixture)]
        noisy = score(*high), score(reference, mixture)
        for name, half in halves.items():
            inside = resample_audio(separate(half, seen[0])[None], RATE // 2, RATE)[0, : mixture.size]
            followed = separate(Denoiser(half, sample_rate=RATE), mixture)
            kinds = {"silent": inside, "untouched": inside + mixture - low, "followed": followed}
            for kind, estimate in kinds.items():
                found = score(high[0], sosfiltfilt(above, estimate).copy()), score(reference, estimate)
                table.setdefault((name, kind), []).append((found[0] - noisy[0], found[1] - noisy[1]))
    print("| model | above its band | SI-SDRi there, dB | SI-SDRi of the whole, dB | worst |")
    print("|---|---|---|---|---|")
    for (name, kind), scores in table.items():
        there, whole = np.mean(scores, axis=0)
        print(f"| {name} | {kind} | {there:.2f} | {whole:.2f} | {np.min(scores, axis=0)[1]:.2f} |")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shared", type=Path)
    parser.add_argument("--models", nargs="+", default=[*NAMES, OWN])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int, default=None)
    parser.add_argument("--band", action="store_true")
    parser.add_argument("--held-out", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.held_out:
        heard = held_out(given.shared)
    else:
        told = json.loads((given.shared / "reference" / "gtcrn" / "measured_on_60_mixtures.json").read_text())
        heard = mixtures(given.shared, told["rows"])
    (measure_band if given.band else measure)(given.models, islice(heard, given.first, given.last))


if __name__ == "__main__":
    main()
