"""Work on one entry of a library, in a process of its own: its stems, and its row of the manifest."""

from __future__ import annotations

import platform
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from soloist.errors import SoloistError, explain, one_line
from soloist.files import sha256_of
from soloist.inference import FileJob, FileSettings, Track, TrackReport
from soloist.inference.dry_run.memory_use import WAY_OUT
from soloist.inference.loaded_models import find_model
from soloist.inference.shared_batches import BatchMember, SharedBatches
from soloist.inference.stem_record import read_records
from soloist.library.library_entries import LibraryEntry
from soloist.library.manifest_row import (
    CRASH,
    Conditions,
    ManifestRow,
    OutputFile,
    kind_of,
    plain_settings,
)
from soloist.library.remote_files import fetched
from soloist.resources import describe_machine, peak_memory, return_memory_at_once, within_memory
from soloist.zoo import card_of

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

_KEPT = 8
"""Most jobs that are kept: of one model, or of few."""

_PACKAGES = ("numpy", "soxr", "soundfile", "av")
_OF_ENGINES = {"openvino": "openvino", "onnxruntime": "onnxruntime"}

TRUNCATED = "truncated"
"""Kind of failure of a file whose end is missing, of which the rest was separated."""


@dataclass(frozen=True)
class PreparedModel:
    """Facts about a model that is on this machine.

    Attributes:
        model_hash: Hash of its weights and attributes.
        stems: Names of the selected stems.
    """

    model_hash: str
    stems: tuple[str, ...]


@dataclass(frozen=True)
class EntryOutcome:
    """Outcome of an entry.

    Attributes:
        entry: The entry.
        row: Its row of the manifest.
        report: Report of the stems; None after a failure.
        error: The failure; None if there are stems.
        together: Most chunks at once of such entries together, see `FileJob.shared_batch`; None if unknown.
    """

    entry: LibraryEntry
    row: ManifestRow
    report: TrackReport | None = None
    error: SoloistError | None = None
    together: int | None = None


class EntryWorker:
    """Separates one entry after the other, and keeps the models of the last ones.

    Args:
        threads: Processor threads; None for PyTorch's own choice.
        device: Device of all entries; None for that of their settings.
    """

    def __init__(self, threads: int | None = None, device: str | None = None) -> None:
        self._device = device
        if threads is not None:
            torch.set_num_threads(threads)
        self._jobs: OrderedDict[tuple[str, FileSettings], FileJob] = OrderedDict()
        self._lock = threading.Lock()

    def prepare(self, model: str, settings: FileSettings) -> PreparedModel:
        """Load a model, and download it before that if need be.

        Raises:
            ModelError: The model is unknown or damaged.
            UsageError: The model has no such stem, or the device does not exist.
        """
        job = self._job(model, settings)
        return PreparedModel(job.model_hash, job.stems)

    def run_together(self, entries: Sequence[LibraryEntry], size: int) -> list[EntryOutcome]:
        """Separate entries whose chunks share batches of so many; what goes wrong with one is its failure."""
        with closing(SharedBatches(size).run(entries, self.run)) as outcomes:
            return list(outcomes)

    def run(self, entry: LibraryEntry, member: BatchMember | None = None) -> EntryOutcome:
        """Separate an entry; whatever goes wrong is its failure.

        Args:
            entry: The entry.
            member: The entry among those whose chunks share batches; None for batches of its own.
        """
        job: FileJob | None = None
        try:
            job = self._job(entry.model, entry.settings)
            with _on_this_machine(entry) as track, within_memory(f"at {track.label}: {WAY_OUT}"):
                report = job.run(track, member=member)
                return _succeeded(entry, job, report, job.shared_batch(track))
        except Exception as error:
            return failed(entry, error, job.model_hash if job else "")

    def _job(self, model: str, settings: FileSettings) -> FileJob:
        key = (model, settings)
        with self._lock:
            if key not in self._jobs:
                found = str(find_model(model))
                if not card_of(found).parameters:
                    return_memory_at_once()
                here = replace(settings, device=self._device or settings.device)
                self._jobs[key] = FileJob(found, here)
                while len(self._jobs) > _KEPT:
                    self._jobs.popitem(last=False)
            self._jobs.move_to_end(key)
            return self._jobs[key]


_worker: EntryWorker | None = None


def start(threads: int, devices: Sequence[str], started: Synchronized[int]) -> None:
    """Prepare a process that separates entries.

    Args:
        threads: Processor threads.
        devices: Devices that the processes take in turn; none for those of the settings.
        started: Number of the processes before this one.
    """
    global _worker
    with started.get_lock():
        number = started.value
        started.value += 1
    _worker = EntryWorker(threads, devices[number % len(devices)] if devices else None)


def prepare(model: str, settings: FileSettings) -> PreparedModel:
    """Load a model in this process; see `EntryWorker.prepare`."""
    assert _worker is not None
    return _worker.prepare(model, settings)


def separate(entries: Sequence[LibraryEntry], size: int) -> list[EntryOutcome]:
    """Separate entries in this process; see `EntryWorker.run_together`."""
    assert _worker is not None
    if len(entries) == 1:
        return [_worker.run(entries[0])]
    return _worker.run_together(entries, size)


@contextmanager
def _on_this_machine(entry: LibraryEntry) -> Iterator[Track]:
    """The track of an entry; a copy if it is elsewhere."""
    if not entry.is_remote:
        yield entry.track
        return
    with fetched(entry.track.alias, entry.modified) as copy:
        yield replace(entry.track, path=copy)


def _succeeded(entry: LibraryEntry, job: FileJob, report: TrackReport, together: int) -> EntryOutcome:
    paths = list(dict.fromkeys(report.stems.values()))
    record = read_records(paths[0].parent).get(paths[0].name)
    truncated = report.truncation is not None
    row = ManifestRow(
        **_origin(entry),
        conditions=_conditions(entry, job.model_hash, report.device, report.engine),
        state="failed" if truncated else "found" if report.skipped else "done",
        sha256=record.input.sha256 if record else "",
        outputs=tuple(_output(path, entry.settings.folder) for path in paths),
        seconds=report.duration,
        elapsed=report.elapsed,
        memory=peak_memory(),
        null_dbfs=report.as_dict()["null_dbfs"],
        confidence=report.confidence,
        kind=TRUNCATED if truncated else "",
        error=one_line(report.truncation or ""),
        finished=time.time(),
    )
    return EntryOutcome(entry, row, report, together=together)


def failed(
    entry: LibraryEntry, error: Exception, model_hash: str = "", *, kind: str = "", attempts: int = 1
) -> EntryOutcome:
    """Outcome of an entry that failed, with its row.

    Args:
        entry: The entry.
        error: The failure.
        model_hash: Hash of the model, if that is known.
        kind: Kind of the failure; empty for that of the error.
        attempts: Number of attempts.
    """
    line = one_line(explain(error).replace(str(entry.track.path), entry.track.label))
    row = ManifestRow(
        **_origin(entry),
        conditions=_conditions(entry, model_hash, "", ""),
        state="failed",
        kind=kind or kind_of(error),
        error=line,
        attempts=attempts,
        finished=time.time(),
    )
    # Errors of other packages may not pass from process to process.
    kept = error if isinstance(error, SoloistError) else SoloistError(line)
    return EntryOutcome(entry, row, error=kept)


def crashed(entry: LibraryEntry, attempts: int) -> EntryOutcome:
    """Outcome of an entry at which a worker died each time."""
    error = SoloistError(f"{entry.track.label}: the worker died {attempts} times at it; out of memory?")
    return failed(entry, error, kind=CRASH, attempts=attempts)


def _origin(entry: LibraryEntry) -> dict[str, Any]:
    """Columns of a row that the entry alone determines."""
    return {
        "key": entry.key,
        "input": entry.input,
        "name": entry.track.name,
        "size": entry.size,
        "modified": entry.modified,
        "start": entry.settings.start,
        "duration": entry.settings.duration,
    }


def _output(path: Path, folder: Path) -> OutputFile:
    return OutputFile(path.relative_to(folder).as_posix(), path.stat().st_size, sha256_of(path))


def _conditions(entry: LibraryEntry, model_hash: str, device: str, engine: str) -> Conditions:
    settings, versions = plain_settings(entry.settings), versions_of(device, engine)
    return Conditions(entry.model, model_hash, settings, versions, platform.node(), device, engine)


@cache
def versions_of(device: str, engine: str) -> dict[str, str]:
    """Versions of the programs and the machine that have part in the samples."""
    found = describe_machine(device or "cpu", None)
    for name in (*_PACKAGES, *filter(None, [_OF_ENGINES.get(engine)])):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
