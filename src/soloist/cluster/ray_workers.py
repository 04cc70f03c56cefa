"""Separation of a library by the actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType

from soloist.cluster.ray_cluster import RayCluster
from soloist.inference import FileSettings
from soloist.library import EntryOutcome, EntryWorker, LibraryEntry
from soloist.library.entry_worker import PreparedModel, crashed
from soloist.library.manifest_row import MENDABLE


class RayWorkers:
    """Actors of a Ray cluster that separate entries.

    Names of files and rows go through the object store, audio never does: each node reads the recordings and
    writes the stems itself, on a file system that all of them see.

    Args:
        address: See `RayCluster`.
        jobs: Number of actors; None for one a device.
        device: Device of the actors.

    Raises:
        UsageError: Ray is not installed, or the address is none.
    """

    def __init__(self, address: str, jobs: int | None = None, device: str = "auto") -> None:
        self._cluster = RayCluster(address, jobs, device)
        self._local = EntryWorker()

    def __enter__(self) -> RayWorkers:
        self._cluster.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.__exit__(kind, error, trace)

    def prepare(self, model: str, settings: FileSettings) -> PreparedModel:
        """Load a model on this machine; see `EntryWorker.prepare`."""
        return self._local.prepare(model, settings)

    def run(self, entries: Sequence[LibraryEntry]) -> Iterator[EntryOutcome]:
        """Separate entries, begun in their order; outcomes come as they finish.

        Raises:
            SoloistError: The cluster is lost, or no actor can be started.
        """
        for over in self._cluster.run(_start, entries, _may_mend):
            if over.result is None:
                yield crashed(over.item, over.number)
            else:
                yield replace(over.result, row=replace(over.result.row, attempts=over.number))


def _start(threads: int) -> Callable[[LibraryEntry], EntryOutcome]:
    return EntryWorker(threads).run


def _may_mend(outcome: EntryOutcome) -> bool:
    return outcome.row.kind in MENDABLE
