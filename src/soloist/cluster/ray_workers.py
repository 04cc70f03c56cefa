"""Workers of a Ray cluster: one actor a device, to which Ray Data streams the names of files."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from soloist.errors import SoloistError, UsageError, one_line
from soloist.inference import FileSettings
from soloist.library import EntryOutcome, EntryWorker, LibraryEntry
from soloist.library.entry_worker import PreparedModel, crashed
from soloist.library.manifest_row import MENDABLE
from soloist.resources import import_extra

ATTEMPTS = 3
"""Number of times that an entry is tried before it is left."""

_WAVE = 100_000
"""Most entries whose names are in the object store at once."""

_BUNDLE = 16
"""Most entries that an actor takes at once."""

_ROUNDS = 64
"""Fewest bundles for each actor, so that all end at nearly the same time."""

_INHERITED = ("SOLOIST_HOME", "SOLOIST_OFFLINE", "SOLOIST_IMPORT", "SOLOIST_TRUST", "PYTHONPATH")
_CONTENT = "content"


@dataclass(frozen=True)
class ClusterShare:
    """Share of a cluster that each actor has.

    Attributes:
        actors: Number of actors.
        cpus: Processors of each, which are its threads.
        gpus: GPUs of each, which may be a part of one.
    """

    actors: int
    cpus: float
    gpus: float

    @classmethod
    def of(cls, resources: dict[str, float], jobs: int | None, device: str) -> ClusterShare:
        """Share out a cluster: one actor for each GPU if there are any, else one for each processor.

        Args:
            resources: Resources of the cluster, as Ray counts them.
            jobs: Number of actors; None for one a device.
            device: Device; "cpu" leaves GPUs alone.

        Raises:
            UsageError: The device is a GPU, and the cluster has none.
        """
        cpus = max(1, int(resources.get("CPU", 1)))
        gpus = 0 if device == "cpu" else int(resources.get("GPU", 0))
        if device.startswith("cuda") and not gpus:
            raise UsageError(f"the cluster has no GPU for --device {device}")
        actors = jobs or gpus or cpus
        return cls(actors, _share(cpus, actors), _share(gpus, actors))


def _share(devices: int, actors: int) -> float:
    """Devices of each actor: a part of one, or a whole number, as Ray gives them out."""
    return devices / actors if devices < actors else float(devices // actors)


class RayWorkers:
    """Actors of a Ray cluster that separate entries.

    Names of files and rows go through the object store, audio never does: each node reads the recordings and
    writes the stems itself, on a file system that all of them see. Of an actor that dies, the entries that it
    had are tried again by others, one by one.

    Args:
        address: "auto" for a cluster that runs, "local" for one of this machine's own, or `ray://HOST:PORT`.
        jobs: Number of actors; None for one a device.
        device: Device of the actors.

    Raises:
        UsageError: Ray is not installed, or the address is none.
    """

    def __init__(self, address: str, jobs: int | None = None, device: str = "auto") -> None:
        if address not in ("auto", "local") and not address.startswith("ray://"):
            raise UsageError(f"--cluster is auto, local or ray://HOST:PORT, not {address!r}")
        # Read at the import.
        os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        self._ray = import_extra("ray", "cluster")
        self._data = import_extra("ray.data", "cluster")
        self._address, self._jobs, self._device = address, jobs, device
        self._local = EntryWorker()

    def __enter__(self) -> RayWorkers:
        self._connect()
        context = self._data.DataContext.get_current()
        context.enable_progress_bars = False
        # An actor that dies costs its bundle in this pass, and not the run.
        context.max_errored_blocks = -1
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        self._share = ClusterShare.of(self._ray.cluster_resources(), self._jobs, self._device)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def _connect(self) -> None:
        variables = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        options: dict[str, Any] = {"runtime_env": {"env_vars": variables}, "log_to_driver": False}
        if self._address == "local":
            options["num_cpus"] = max(self._jobs or 1, os.cpu_count() or 1)
            options["include_dashboard"] = False
        # Ray takes signals for itself, and a command must end as it always does.
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._ray.init(address=self._address, logging_level=logging.CRITICAL, **options)
        except Exception as error:
            raise UsageError(f"no Ray cluster at {self._address}: {one_line(error)}") from error
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def prepare(self, model: str, settings: FileSettings) -> PreparedModel:
        """Load a model on this machine; see `EntryWorker.prepare`."""
        return self._local.prepare(model, settings)

    def run(self, entries: Sequence[LibraryEntry]) -> Iterator[EntryOutcome]:
        """Separate entries, begun in their order; outcomes come as they finish.

        Raises:
            SoloistError: The cluster is lost, or no actor can be started.
        """
        size = max(1, min(_BUNDLE, len(entries) // (self._share.actors * _ROUNDS)))
        again: list[LibraryEntry] = []
        for first in range(0, len(entries), _WAVE):
            yield from self._pass(entries[first : first + _WAVE], size, 1, again)
        for attempt in range(2, ATTEMPTS + 1):
            entries, again = again, []
            yield from self._pass(entries, 1, attempt, again)

    def _pass(
        self, entries: Sequence[LibraryEntry], size: int, attempt: int, again: list[LibraryEntry]
    ) -> Iterator[EntryOutcome]:
        """Try entries once; those that another attempt may mend are added to `again`, but for the last."""
        left, last = {entry.key: entry for entry in entries}, attempt == ATTEMPTS
        for outcome in self._stream(entries, size):
            entry = left.pop(outcome.entry.key)
            if outcome.row.kind in MENDABLE and not last:
                again.append(entry)
            else:
                yield replace(outcome, row=replace(outcome.row, attempts=attempt))
        # The actors that had them died.
        for entry in left.values():
            if last:
                yield crashed(entry, ATTEMPTS)
            else:
                again.append(entry)

    def _stream(self, entries: Sequence[LibraryEntry], size: int) -> Iterator[EntryOutcome]:
        """Pass bundles of entries through the actors."""
        if not entries:
            return
        bundles = [
            {_CONTENT: pickle.dumps(entries[first : first + size])} for first in range(0, len(entries), size)
        ]
        names = self._data.from_items(bundles, override_num_blocks=len(bundles))
        pool = self._data.ActorPoolStrategy(size=self._share.actors, max_tasks_in_flight_per_actor=1)
        with warnings.catch_warnings():
            # Ray names no other way yet to leave out its own retries, which have no end.
            warnings.simplefilter("ignore", DeprecationWarning)
            rows = names.map(
                BundleWorker,
                fn_constructor_args=(max(1, int(self._share.cpus)),),
                compute=pool,
                num_cpus=self._share.cpus,
                num_gpus=self._share.gpus,
                max_restarts=-1,
                max_task_retries=0,
            )
        try:
            for row in rows.iter_rows():
                yield from pickle.loads(row[_CONTENT])
        except self._ray.exceptions.RayError as error:
            reason = one_line(str(error).strip().splitlines()[-1])
            raise SoloistError(f"the cluster failed: {reason}; the same command goes on") from error


class BundleWorker:
    """Actor that separates bundles of entries, and keeps its models.

    Args:
        threads: Processor threads.
    """

    def __init__(self, threads: int) -> None:
        self._worker = EntryWorker(threads)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Separate the entries of a bundle, and return their outcomes."""
        return {_CONTENT: pickle.dumps([self._worker.run(entry) for entry in pickle.loads(row[_CONTENT])])}
