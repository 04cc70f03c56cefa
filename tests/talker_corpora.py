"""Small corpora of generated mixtures, laid out like the published ones."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import soundfile

from stem_corpora import RATE, noises


def write_mixtures(folder: Path, name: str, mixtures: Mapping[str, Iterable[str]], rate: int = RATE) -> None:
    """Write the signals of a mixture as `folder/<signal>/<name>.wav`, 16 bits, adding up to the bit.

    Args:
        folder: The folder of the split.
        name: Name of the mixture.
        mixtures: For each mixture of signals which signals are mixed.
        rate: In Hz.
    """
    signals = sorted({signal for mixed in mixtures.values() for signal in mixed})
    seed = zlib.crc32(f"{folder.name}/{name}".encode())
    audio = {
        signal: np.round(noise * 2**13).astype(np.int16)
        for signal, noise in noises(tuple(signals), seconds=0.1, seed=seed).items()
    }
    audio |= {
        mixture: np.sum([audio[signal] for signal in mixed], axis=0, dtype=np.int16)
        for mixture, mixed in mixtures.items()
    }
    for signal, samples in audio.items():
        (folder / signal).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / signal / f"{name}.wav", samples.T, rate, subtype="PCM_16")


def residual(track) -> float:
    """The greatest difference between the mixture of a track and the sum of its stems."""
    mixture, _ = track.mixture.read()
    return float(np.abs(mixture - np.sum([stem.read()[0] for stem in track.stems.values()], axis=0)).max())
