"""A run over a library: what is finished is left alone, the rest is separated, and each outcome is a row."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from soloist.errors import AudioError, SoloistError
from soloist.inference import FileSettings
from soloist.inference.outputs import stem_paths
from soloist.inference.placement import check_targets
from soloist.input_files import identify_all
from soloist.library.entry_worker import EntryOutcome, PreparedModel
from soloist.library.library_entries import LibraryEntry
from soloist.library.manifest import Manifest
from soloist.library.manifest_row import FinishedWork
from soloist.zoo.composition_files import find_composition

_log = logging.getLogger(__name__)


class Workers(Protocol):
    """Processes that separate entries, on this machine or on others."""

    def prepare(self, model: str, settings: FileSettings) -> PreparedModel:
        """Load a model, so that its errors are raised before the first entry."""
        ...

    def run(self, entries: Sequence[LibraryEntry]) -> Iterator[EntryOutcome]:
        """Separate entries, begun in their order; outcomes come as they finish."""
        ...


@dataclass(frozen=True)
class LibraryResult:
    """Result of a run.

    Attributes:
        finished: Number of entries that were finished before.
        separated: Number of entries that were separated, or found finished on disk.
        failed: Number of entries that failed, among them truncated ones whose rest was separated.
    """

    finished: int
    separated: int
    failed: int


class LibraryRun:
    """Separates the entries of a library that are not finished.

    Args:
        entries: The entries, in the order in which they are begun; all have the same output folder.
        workers: Processes that separate.

    Raises:
        ModelError: A model is unknown or damaged.
        UsageError: A model has no such stem; a stem would replace an input, or two entries would share one.
    """

    def __init__(self, entries: Sequence[LibraryEntry], workers: Workers) -> None:
        self._workers = workers
        self._prepared: dict[tuple[str, FileSettings], PreparedModel] = {}
        self._models: dict[tuple[str, int], PreparedModel] = {}
        self._entries = entries
        self._check(entries)

    def run(
        self,
        finished: Callable[[int, int], None] = lambda count, size: None,
        outcome: Callable[[EntryOutcome], None] = lambda outcome: None,
    ) -> LibraryResult:
        """Separate what is not finished.

        Args:
            finished: Callback that receives the number of finished entries and the bytes of their files.
            outcome: Callback that receives each outcome as it comes, after its row is written.

        Raises:
            SoloistError: The manifest is damaged or cannot be opened.
        """
        if not self._entries:
            return LibraryResult(0, 0, 0)
        counts = {"done": 0, "found": 0, "failed": 0}
        with Manifest(self._entries[0].settings.folder) as manifest:
            rest = self._unfinished(manifest)
            ready = len(self._entries) - len(rest)
            finished(ready, sum(each.size for each in self._entries) - sum(each.size for each in rest))
            for each in self._workers.run(rest):
                self._keep(each, manifest)
                counts[each.row.state] += 1
                outcome(each)
        return LibraryResult(ready, counts["done"] + counts["found"], counts["failed"])

    def _keep(self, outcome: EntryOutcome, manifest: Manifest) -> None:
        try:
            manifest.add(outcome.row)
        except SoloistError as error:
            # As for the records beside the stems: the next run finds what is finished.
            _log.warning("%s: the stems are there, but no row: %s", outcome.entry.track.label, error)

    def _unfinished(self, manifest: Manifest) -> list[LibraryEntry]:
        """Entries of which no row tells that the stems are there, of this file and by this model."""
        entries = {entry.key: entry for entry in self._entries}
        done = {key for key, work in manifest.finished(entries) if self._is_finished(entries[key], work)}
        return [entry for key, entry in entries.items() if key not in done]

    def _is_finished(self, entry: LibraryEntry, work: FinishedWork) -> bool:
        return (
            not entry.settings.overwrite
            and (work.size, work.modified) == (entry.size, entry.modified)
            and work.model_hash == self._model(entry).model_hash
            and work.is_there(entry.settings.folder)
        )

    def _model(self, entry: LibraryEntry) -> PreparedModel:
        # By identity first: to compare settings takes longer than all else about an entry that is finished.
        same = (entry.model, id(entry.settings))
        if same not in self._models:
            key = (entry.model, replace(entry.settings, start=0.0, duration=None))
            if key not in self._prepared:
                self._prepared[key] = self._workers.prepare(*key)
            self._models[same] = self._prepared[key]
        return self._models[same]

    def _check(self, entries: Sequence[LibraryEntry]) -> None:
        """Load the models, and refuse stems that would replace an input or those of another entry."""
        targets = []
        for entry in entries:
            try:
                targets.append((entry.track.path, self._paths(entry)))
            except AudioError:  # a name that is too long, which is that entry's failure
                continue
        check_targets(targets, identify_all(entry.track.path for entry in entries if not entry.is_remote))

    def _paths(self, entry: LibraryEntry) -> dict[str, Path]:
        settings, composition = entry.settings, find_composition(entry.model)
        return stem_paths(
            settings.folder,
            settings.path_template,
            model=entry.model if composition is None else composition.name,
            track=entry.track.name,
            stems=self._model(entry).stems,
            extension=settings.write.extension,
        )
