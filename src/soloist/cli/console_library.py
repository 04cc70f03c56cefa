"""The console part of `soloist separate` for libraries: workers, lists, a manifest, a row again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from soloist.audio import RawFormat, is_read_once
from soloist.cli.console import named, say
from soloist.cli.console_batch import STANDARD_INPUT, ConsoleBatch, fetch_missing
from soloist.cli.names import check_model
from soloist.errors import SoloistError, UsageError
from soloist.files import counted
from soloist.inference import FileSettings
from soloist.inference.engines.pytorch import find_devices
from soloist.library import EntryOutcome, LibraryRun, LocalWorkers, find_entries
from soloist.library.library_lists import is_list
from soloist.library.manifest import read_row
from soloist.library.remote_files import is_remote
from soloist.library.replay import replay

if TYPE_CHECKING:
    from soloist.cluster import RayWorkers


class ConsoleLibrary(ConsoleBatch):
    """Separates a library by several processes, and reports each recording as it is finished.

    Args:
        settings: Selection, format and place of the stems.
        jobs: Number of worker processes; None for one a device, of this machine or of a cluster.
        cluster: Address of a Ray cluster; None for processes of this machine.
        threads: Processor threads of all processes of this machine together; None for all.
        **options: See `ConsoleBatch`.
    """

    def __init__(
        self,
        settings: FileSettings,
        *,
        jobs: int | None = None,
        cluster: str | None = None,
        threads: int | None = None,
        **options: Any,
    ) -> None:
        listed = "," in settings.device
        if listed and cluster is not None:
            raise UsageError("--cluster gives each actor a device: name a kind, such as --device cuda")
        devices = find_devices(settings.device) if cluster is None else ()
        if listed:
            # Rows and their keys say nothing of the number of devices.
            settings = replace(settings, device=devices[0].partition(":")[0])
        super().__init__(settings, **options)
        self._devices = devices if len(devices) > 1 else ()
        self._jobs, self._cluster, self._threads = jobs, cluster, threads

    def run(self, inputs: Sequence[str], raw: RawFormat | None = None) -> bool:
        """Separate what is not finished; True without failures."""
        if raw is not None or any(given == STANDARD_INPUT or is_read_once(Path(given)) for given in inputs):
            raise UsageError("standard input and pipes are read by one process: leave out --jobs and lists")
        entries = find_entries(inputs, self._decide, self._settings, self._lose)
        for model in dict.fromkeys(entry.model for entry in entries):
            check_model(model)
            fetch_missing(model, quiet=self._quiet or self._as_json)
        with self._workers() as workers:
            library = LibraryRun(entries, workers)
            with self._bar(len(entries), sum(entry.size for entry in entries)) as (bar, task):

                def finished(count: int, size: int) -> None:
                    bar.advance(task, size)
                    if count:
                        self._say(f"{counted(count, 'file')} finished before, left alone")

                def tell(outcome: EntryOutcome) -> None:
                    self._tell(outcome)
                    bar.advance(task, outcome.entry.size)

                result = library.run(finished, tell)
        failures, everything = result.failed + self._lost, len(entries) + self._lost
        if failures and everything > 1:
            self._say(f"{failures} of {everything} inputs failed", always=True)
        return not failures

    def plan(self, inputs: Sequence[str], raw: RawFormat | None = None) -> bool:
        """Report what a run would do and take, by one process."""
        if listed := [given for given in inputs if is_list(given) or is_remote(given)]:
            raise UsageError(f"--dry-run is for files of this machine, not for {listed[0]}")
        return super().plan(inputs, raw)

    def _workers(self) -> LocalWorkers | RayWorkers:
        if self._cluster is None:
            return LocalWorkers(self._jobs or len(self._devices) or 1, self._threads, self._devices)
        if self._threads is not None:
            raise UsageError(
                "--threads is for processes of this machine: actors have the processors of their share"
            )
        from soloist.cluster import RayWorkers

        return RayWorkers(self._cluster, self._jobs, self._settings.device)

    def _tell(self, outcome: EntryOutcome) -> None:
        if outcome.report is not None:
            self._report(outcome.report, outcome.row.memory)
        else:
            self._report_failure(outcome.entry.track, outcome.error or SoloistError(outcome.row.error))

    @contextmanager
    def _bar(self, count: int, size: int) -> Iterator[tuple[Progress, TaskID]]:
        """A progress bar on a terminal, by the bytes of the recordings."""
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        hidden = self._quiet or not self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=hidden) as bar:
            yield bar, bar.add_task(counted(count, "file"), total=size)


def replay_row(given: Path, number: int, folder: Path) -> None:
    """Separate the recording of a row again, and say whether the samples are the same.

    Args:
        given: Output folder with a manifest, the folder of a manifest, or a part of one.
        number: Number of the row.
        folder: Folder of the new stems.

    Raises:
        SoloistError: The samples differ; the message names the versions that do.
    """
    row, originals = read_row(given, number)
    done = replay(row, originals, folder)
    for path in dict.fromkeys(done.report.stems.values()):
        typer.echo(named(path))
    changes = (
        "; ".join(done.differences) or "no version differs: the processor's load may choose other kernels"
    )
    if done.same_samples:
        beside = f", although {changes}" if done.differences else ""
        say(f"row {number}: the same samples{beside}")
    elif done.same_samples is None:
        raise SoloistError(f"row {number}: other files, and the old ones are not there to compare: {changes}")
    else:
        raise SoloistError(f"row {number}: other samples: {changes}")
