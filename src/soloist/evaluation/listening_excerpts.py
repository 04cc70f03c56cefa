"""Excerpts for listening: mixture, references and estimates of a few tracks, beside a system's scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soloist.audio import StemWriter, WriteOptions
from soloist.datasets import MIXTURE, StemTrack, TrackPath, sum_of
from soloist.evaluation.matching import LoadedTrack

EXCERPT_SECONDS = 10
"""Duration of an excerpt, in s: a page of excerpts can be sent by mail."""

REFERENCE, ESTIMATE = "reference", "estimate"

_SOUNDS = 0.1
"""Least energy of a reference that sounds, relative to that of its loudest excerpt."""

_FOLDER = "listen"
_EXTENSION = "mp3"
_MOST_CHANNELS = 2


def choose_tracks(tracks: Sequence[TrackPath], count: int) -> set[str]:
    """Choose `count` tracks spread evenly over a corpus, the same for every system; return their names."""
    if count < 1:
        return set()
    indices = np.linspace(0, len(tracks) - 1, min(count, len(tracks))).round().astype(int)
    return {tracks[index].name for index in indices}


def excerpt_folder(system: Path, track: str) -> Path:
    """Folder of the excerpts of a track in a system's folder."""
    return system / _FOLDER / track


def write_excerpts(system: Path, track: StemTrack, loaded: LoadedTrack) -> None:
    """Write an excerpt of the mixture and of each estimate with its reference, with one gain for all.

    Args:
        system: Folder of the system's results.
        track: The track, for its mixture.
        loaded: References and estimates.
    """
    length = EXCERPT_SECONDS * loaded.sample_rate
    start = _best_start([sum_of(loaded.references, name) for name in loaded.estimates], loaded.sample_rate)
    cut = np.s_[:_MOST_CHANNELS, start : start + length]
    audio = {MIXTURE: np.concatenate(list(track.mixture_blocks()), axis=1)[:, loaded.first :][cut]}
    for target, estimate in loaded.estimates.items():
        audio[f"{REFERENCE}-{target}"] = sum_of(loaded.references, target)[cut]
        audio[f"{ESTIMATE}-{target}"] = estimate[cut]
    folder = excerpt_folder(system, track.name)
    paths = {name: folder / f"{name}.{_EXTENSION}" for name in audio}
    block = np.stack(list(audio.values()))
    # Below 32 kHz the format has other bit rates; its default there is not larger.
    options = WriteOptions(format="mp3", bitrate=192 if loaded.sample_rate >= 32000 else None)
    with StemWriter(paths, loaded.sample_rate, block.shape[1], options) as writer:
        writer.write(block)
        writer.commit()


def find_excerpts(system: Path) -> dict[str, dict[str, Path]]:
    """Find the excerpts in a system's folder, by track and by `mixture`, `reference-X`, `estimate-X`."""
    root = system / _FOLDER
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(root.rglob(f"*.{_EXTENSION}")):
        found.setdefault(path.parent.relative_to(root).as_posix(), {})[path.stem] = path
    return found


def _best_start(references: Sequence[NDArray[np.float32]], sample_rate: int) -> int:
    """First sample of the excerpt in which most references sound, and the quietest of them is loudest.

    A reference sounds where it has a tenth of the energy of its own loudest excerpt.
    """
    seconds = references[0].shape[-1] // sample_rate
    if seconds <= EXCERPT_SECONDS:
        return 0
    whole = [
        audio[:, : seconds * sample_rate].reshape(audio.shape[0], seconds, sample_rate)
        for audio in references
    ]
    energies = np.stack([np.square(audio, dtype=np.float64).sum(axis=(0, 2)) for audio in whole])
    windows = np.lib.stride_tricks.sliding_window_view(energies, EXCERPT_SECONDS, axis=1).sum(axis=2)
    windows = windows[windows.max(axis=1) > 0]
    if not len(windows):
        return 0
    relative = windows / windows.max(axis=1, keepdims=True)
    sounding = relative >= _SOUNDS
    quietest = np.where(sounding, relative, 1.0).min(axis=0)
    return int((sounding.sum(axis=0) + 0.5 * quietest).argmax()) * sample_rate
