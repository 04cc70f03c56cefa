"""A row of a manifest separated again, and compared with what it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from soloist.audio import Audio, AudioReader
from soloist.errors import AudioError, ModelError, SoloistError, UsageError
from soloist.files import sha256_of
from soloist.inference import Track, TrackReport
from soloist.library.entry_worker import EntryWorker
from soloist.library.library_entries import LibraryEntry
from soloist.library.manifest_row import ManifestRow, OutputFile, settings_of
from soloist.library.remote_files import is_remote
from soloist.urls import missing

_SHORT = 12
"""Digits of a hash in a message."""


@dataclass(frozen=True)
class Replay:
    """A separation that was done again.

    Attributes:
        report: Report of the new stems.
        same_files: True if the files of the stems are the same, to the byte.
        same_samples: True if they have the same samples; None if the old files are gone or changed.
        differences: Lines about versions and conditions that differ.
    """

    report: TrackReport
    same_files: bool
    same_samples: bool | None
    differences: tuple[str, ...]


def replay(row: ManifestRow, originals: Path, folder: Path) -> Replay:
    """Separate the recording of a row again, by its model and settings.

    Args:
        row: The row.
        originals: Output folder of the row.
        folder: Output folder of the new stems.

    Raises:
        AudioError: The recording is missing or has changed.
        ModelError: The model is missing or has changed.
        UsageError: The row has no stems, or the new ones would replace the old ones.
    """
    if not row.outputs:
        raise UsageError(f"{row.input} has no stems that could be compared: {row.error}")
    if folder.resolve() == originals.resolve():
        raise UsageError(f"the stems of the row lie in {folder}: choose another --output")
    entry = _entry_of(row, folder)
    worker = EntryWorker(int(row.conditions.versions.get("threads", 0)) or None)
    model_hash = worker.prepare(entry.model, entry.settings).model_hash
    if model_hash != row.conditions.model_hash:
        old = row.conditions.model_hash
        raise ModelError(
            f"the model {entry.model} has changed since: its hash was {old[:_SHORT]}... "
            f"and is {model_hash[:_SHORT]}..."
        )
    outcome = worker.run(entry)
    if outcome.error is not None or outcome.report is None:
        raise outcome.error or SoloistError(outcome.row.error)
    if outcome.row.sha256 != row.sha256:
        raise AudioError(f"{row.input} has changed since: its hash was {row.sha256[:_SHORT]}...")
    now = outcome.row
    same_files = [each.sha256 for each in row.outputs] == [each.sha256 for each in now.outputs]
    return Replay(
        outcome.report,
        same_files,
        True if same_files else _have_same_samples(row, originals, now, folder),
        tuple(_differences(row, now)),
    )


def _entry_of(row: ManifestRow, folder: Path) -> LibraryEntry:
    remote, path = is_remote(row.input), Path(row.input)
    if not remote:
        if not path.is_file():
            raise AudioError(missing(path))
        if sha256_of(path) != row.sha256:
            raise AudioError(f"{path} has changed since: its hash was {row.sha256[:_SHORT]}...")
    track = Track(path, row.name, row.input if remote else "")
    return LibraryEntry(track, row.conditions.model, settings_of(row, folder), row.size, row.modified)


def _differences(row: ManifestRow, now: ManifestRow) -> Iterator[str]:
    before, after = row.conditions, now.conditions
    old = {**before.versions, "device": before.device, "engine": before.engine}
    new = {**after.versions, "device": after.device, "engine": after.engine}
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{name} was {old.get(name, 'not known')} and is {new.get(name, 'not known')}"


def _have_same_samples(row: ManifestRow, originals: Path, now: ManifestRow, folder: Path) -> bool | None:
    """Compare the samples of files whose bytes differ, as by the version in their tags."""
    if len(row.outputs) != len(now.outputs):
        return False
    pairs = list(zip(row.outputs, now.outputs, strict=True))
    if not all(_is_unchanged(originals / old.path, old) for old, _ in pairs):
        return None
    return all(_equal(originals / old.path, folder / new.path) for old, new in pairs)


def _is_unchanged(path: Path, output: OutputFile) -> bool:
    return path.is_file() and path.stat().st_size == output.size and sha256_of(path) == output.sha256


def _equal(one: Path, other: Path) -> bool:
    """Tell whether two files decode to the same samples."""
    with ExitStack() as stack:
        readers = [stack.enter_context(AudioReader(path)) for path in (one, other)]
        pieces: list[Iterator[Audio]] = [reader.blocks() for reader in readers]
        nothing = np.zeros((0, 0), np.float32)
        return all(np.array_equal(old, new) for old, new in zip_longest(*pieces, fillvalue=nothing))
