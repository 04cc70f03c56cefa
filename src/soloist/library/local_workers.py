"""Worker processes on one machine, which share its processor."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from multiprocessing import get_context
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

_SMALL = 32 * 10**6
"""Most bytes of entries that a worker separates together: their outcomes come together, too."""


class LocalWorkers:
    """Processes that separate entries, one each at a time, each with models of its own.

    Where several chunks are separated at once, a worker takes several short entries, which share batches.

    Where a worker dies, nobody knows at which of the entries: they are tried again one at a time, so that one
    that kills its worker costs no other its attempts.

    Args:
        jobs: Number of processes.
        threads: Processor threads of all of them together; None for PyTorch's own choice.
        devices: Devices that the processes take in turn; none for those of the entries' settings.
    """

    def __init__(self, jobs: int, threads: int | None = None, devices: Sequence[str] = ()) -> None:
        self._jobs, self._devices = jobs, devices
        self._threads = max(1, (threads or torch.get_num_threads()) // jobs)
        self._together = 1

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
        flying: dict[Future[list[EntryOutcome]], list[LibraryEntry]] = {}
        while waiting or suspects or flying:
            source, most = (suspects, 1) if suspects else (waiting, self._jobs)
            while source and len(flying) < most:
                group = [source.popleft()] if suspects else self._next_group(waiting)
                flying[self._pool.submit(entry_worker.separate, group, self._together)] = group
            died: list[LibraryEntry] = []
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                group = flying.pop(future)
                try:
                    outcomes = future.result()
                except BrokenProcessPool:
                    died += group
                    continue
                self._together = outcomes[-1].together or self._together
                yield from outcomes
            if died:
                died += chain.from_iterable(flying.values())
                flying.clear()
                self._begin_again()
                yield from self._judge(died, deaths, suspects)

    def _next_group(self, waiting: deque[LibraryEntry]) -> list[LibraryEntry]:
        """The next entry, and short ones behind it if entries share batches."""
        most = min(self._together, len(waiting) // self._jobs)
        group = [waiting.popleft()]
        while len(group) < most and sum(each.size for each in [*group, waiting[0]]) <= _SMALL:
            group.append(waiting.popleft())
        return group

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
        started = get_context("spawn").Value("i", 0)
        self._pool = Processes(self._jobs, entry_worker.start, self._threads, self._devices, started)

    def _begin_again(self) -> None:
        self._pool.shutdown(wait=True)
        self._begin()
