"""Worker processes on one machine, which share its processor."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType

import torch

from soloist.errors import SoloistError
from soloist.inference import FileSettings
from soloist.library import entry_worker
from soloist.library.entry_worker import EntryOutcome, PreparedModel
from soloist.library.library_entries import LibraryEntry
from soloist.resources import Processes

ATTEMPTS = 3
"""Number of workers that may die at an entry before it is left."""


class LocalWorkers:
    """Processes that separate entries, one each at a time, each with models of its own.

    Where a worker dies, nobody knows at which of the entries: they are tried again one at a time, so that one
    that kills its worker costs no other its attempts.

    Args:
        jobs: Number of processes.
        threads: Processor threads of all of them together; None for PyTorch's own choice.
    """

    def __init__(self, jobs: int, threads: int | None = None) -> None:
        self._jobs = jobs
        self._threads = max(1, (threads or torch.get_num_threads()) // jobs)

    def __enter__(self) -> LocalWorkers:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def prepare(self, model: str, settings: FileSettings) -> PreparedModel:
        """Load a model in a worker; see `EntryWorker.prepare`."""
        try:
            return self._pool.submit(entry_worker.prepare, model, settings).result()
        except BrokenProcessPool as error:
            raise SoloistError(
                f"a worker died when it loaded {model} (out of memory?): try fewer --jobs"
            ) from error

    def run(self, entries: Sequence[LibraryEntry]) -> Iterator[EntryOutcome]:
        """Separate entries, begun in their order; outcomes come as they finish."""
        waiting, suspects, deaths = deque(entries), deque[LibraryEntry](), Counter[int]()
        flying: dict[Future[EntryOutcome], LibraryEntry] = {}
        while waiting or suspects or flying:
            source, most = (suspects, 1) if suspects else (waiting, self._jobs)
            while source and len(flying) < most:
                entry = source.popleft()
                flying[self._pool.submit(entry_worker.separate, entry)] = entry
            died: list[LibraryEntry] = []
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                entry = flying.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    died.append(entry)
            if died:
                died += flying.values()
                flying.clear()
                self._begin_again()
                yield from self._judge(died, deaths, suspects)

    def _judge(
        self, died: Sequence[LibraryEntry], deaths: Counter[int], suspects: deque[LibraryEntry]
    ) -> Iterator[EntryOutcome]:
        """Note the entries at which a worker may have died; those that had their attempts have failed."""
        for entry in died:
            deaths[entry.key] += 1
            if deaths[entry.key] < ATTEMPTS:
                suspects.append(entry)
            else:
                yield entry_worker.crashed(entry, ATTEMPTS)

    def _begin(self) -> None:
        self._pool = Processes(self._jobs, entry_worker.start, self._threads)

    def _begin_again(self) -> None:
        self._pool.shutdown(wait=True)
        self._begin()
