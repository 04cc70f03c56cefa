"""Corpora whose samples say where they come from, so that a test can read off what a mixer drew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from soloist.datasets import StemFolders

RATE = 1000
STEMS = ("bass", "drums", "vocals")


def write_numbered(folder: Path, lengths: tuple[int, ...], stems: tuple[str, ...] = STEMS) -> StemFolders:
    """A corpus of tracks `track0`, ... of so many samples: sample n of track k is `k + 1 + n / 10000`."""
    for track, samples in enumerate(lengths):
        (folder / f"track{track}").mkdir(parents=True)
        for stem in stems:
            audio = (track + 1 + np.arange(samples) / 10000).astype(np.float32)
            soundfile.write(folder / f"track{track}" / f"{stem}.wav", audio, RATE, subtype="FLOAT")
    return StemFolders(folder)


def origin(reference: np.ndarray) -> tuple[int, int]:
    """The track and the sample of it at which an excerpt `(channels, samples)` of such a corpus begins."""
    track = int(reference[0, 0]) - 1
    return track, round((float(reference[0, 0]) - track - 1) * 10000)
