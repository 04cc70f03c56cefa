"""Small corpora of stems for tests of scoring: coloured noises, so that nothing is ill-conditioned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from soloist.audio import StemWriter, WriteOptions

RATE = 8000
FOUR_STEMS = ("vocals", "drums", "bass", "other")

Audio = NDArray[np.float32]


def noises(
    names: tuple[str, ...] = FOUR_STEMS, *, seconds: float = 2.0, channels: int = 1, seed: int = 0
) -> dict[str, Audio]:
    """Independent noises `(channels, samples)` of different colours, below full scale even when summed."""
    generator = np.random.default_rng(seed)
    stems = {}
    for index, name in enumerate(names):
        white = generator.uniform(-0.1, 0.1, (channels, round(seconds * RATE)))
        stems[name] = (white + (0.2 + 0.1 * index) * np.roll(white, 1 + index, axis=1)).astype(np.float32)
    return stems


def spoiled(stems: Mapping[str, Audio], amount: float = 0.1) -> dict[str, Audio]:
    """Estimates: each stem with a little of all of them and of a noise of its own."""
    generator = np.random.default_rng(99)
    mixture = np.sum(list(stems.values()), axis=0)
    return {
        name: (audio + amount * mixture + amount * generator.uniform(-0.1, 0.1, audio.shape)).astype(
            np.float32
        )
        for name, audio in stems.items()
    }


def write_track(folder: Path, stems: Mapping[str, Audio], rate: int = RATE) -> Path:
    """Write stems as float WAV files into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, audio in stems.items():
        soundfile.write(folder / f"{name}.wav", audio.T, rate, subtype="FLOAT")
    return folder


def write_multi_stream(path: Path, stems: Mapping[str, Audio], rate: int = 44100) -> Path:
    """Write stereo stems and their mixture as the streams of a `.stem.mp4`, in the order of MUSDB18."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = ("drums", "bass", "other", "vocals")
    mixture = np.sum(list(stems.values()), axis=0)
    paths = dict.fromkeys(("mixture", *order), path)
    with StemWriter(paths, rate, 2, WriteOptions(format="stem"), mixture="mixture") as writer:
        writer.write(np.stack([mixture, *(stems[name] for name in order)]))
        writer.commit()
    return path
