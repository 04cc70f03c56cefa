"""Denoisers on 60 mixtures of speech and environmental noise at 0, 5 and 10 dB.

Twenty utterances of LibriSpeech, each with a clip of ESC-10, two of each class. The mixtures and the rule are
those of the file, which also holds figures of the original programs. Figures: improvement of SI-SDR over the
noisy mixture, dB.

    python benchmarks/denoise.py SHARED [--models ulunas dtln gtcrn gtcrn-stream] [--first 0] [--last 60]
    python benchmarks/denoise.py SHARED --band

`--band` measures the band above the models': singing at 44.1 kHz in noise, once with the upper band silent,
once untouched, and once with the gain of the band below. SHARED is the folder of `reference` and `data`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.signal import butter, resample_poly, sosfiltfilt

from soloist.audio import Audio, read_audio, resample_audio
from soloist.metrics import si_sdr
from soloist.separators import Separator
from soloist.zoo import load

RATE, SECONDS, SNRS = 16000, 8, (0, 5, 10)
NAMES = {
    "ulunas": "ulunas_dns3",
    "dtln": "dtln_pytorch",
    "gtcrn": "gtcrn_dns3",
    "gtcrn-stream": "gtcrn_dns3_stream",
}
VOICES = ("lithium", "sodium", "caesium")


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


def score(reference: Audio, estimate: Audio) -> float:
    """SI-SDR with the means taken off, dB."""
    return float(si_sdr(*(torch.from_numpy(x).double()[None] for x in (reference, estimate)), zero_mean=True))


@torch.no_grad()
def separate(separator: Separator, mixture: Audio) -> Audio:
    """Source in a mixture `(samples,)`."""
    return separator(torch.from_numpy(mixture)[None, None])[0, 0, 0].numpy()


def measure(shared: Path, models: list[str], first: int, last: int) -> None:
    """Print the table of the improvements."""
    told = json.loads((shared / "reference" / "gtcrn" / "measured_on_60_mixtures.json").read_text())
    separators = {name: load(name).optimize() for name in models}
    found: dict[str, list[tuple[int, float, float]]] = {name: [] for name in models}
    for row, mixture, reference in mixtures(shared, told["rows"][first:last]):
        noisy = score(reference, mixture)
        for name, separator in separators.items():
            gain = score(reference, separate(separator, mixture)) - noisy
            published = row[NAMES[name]] - row["mix_si_sdr"] if name in NAMES else float("nan")
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


def loudest(audio: Audio, samples: int) -> Audio:
    """Piece of `(samples,)` with the most energy."""
    pieces = audio[: audio.size // samples * samples].reshape(-1, samples)
    return pieces[np.square(pieces).sum(axis=1).argmax()]


def measure_band(shared: Path, models: list[str]) -> None:
    """Print SI-SDR of singing in noise at 44.1 kHz above 8 kHz, and of the whole, for three upper bands."""
    rate = 44100
    above = butter(8, 8000, "high", fs=rate, output="sos")
    wide, narrow = ({name: load(name, sample_rate=each) for name in models} for each in (rate, RATE))
    table: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for index, song in enumerate(VOICES):
        whole, _ = read_audio(shared / "data" / "songs" / song / "vocals.ogg")
        voice = loudest(whole[0], 5 * rate).astype(np.float64)
        for clip in sorted((shared / "data" / "esc10").glob("*/4-*.ogg"))[5 * index :: 16]:
            mixture, reference = mix(voice, noise_at(clip, rate).astype(np.float64), 5)
            seen = resample_audio(mixture[None], rate, RATE)
            low = resample_audio(seen, RATE, rate)[0, : mixture.size]
            for name in models:
                inside = separate(narrow[name], seen[0])
                inside = resample_audio(inside[None], RATE, rate)[0, : mixture.size]
                followed = separate(wide[name], mixture)
                kinds = {"silent": inside, "untouched": inside + mixture - low, "followed": followed}
                for kind, estimate in kinds.items():
                    high = score(*(sosfiltfilt(above, x).copy() for x in (reference, estimate)))
                    table.setdefault((name, kind), []).append((high, score(reference, estimate)))
    print("| model | above 8 kHz | SI-SDR above 8 kHz, dB | SI-SDR of the whole, dB |\n|---|---|---|---|")
    for (name, kind), scores in table.items():
        high, whole = np.median(scores, axis=0)
        print(f"| {name} | {kind} | {high:.2f} | {whole:.2f} |")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shared", type=Path)
    parser.add_argument("--models", nargs="+", default=list(NAMES))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int, default=60)
    parser.add_argument("--band", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.band:
        measure_band(given.shared, given.models)
    else:
        measure(given.shared, given.models, given.first, given.last)


if __name__ == "__main__":
    main()
