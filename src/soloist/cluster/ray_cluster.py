"""A Ray cluster shared out among actors, one a device, to which Ray Data streams items of work."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic

from soloist.cluster.result_stream import ClusterShare, Item, Result, ResultStream
from soloist.errors import SoloistError, UsageError, one_line
from soloist.library.local_workers import ATTEMPTS
from soloist.resources import import_extra

_AUTO, _LOCAL = "auto", "local"
"""Addresses of a cluster that runs, and of one of this machine's own."""

_CLIENT = "ray://"
"""Beginning of the address of a cluster that Ray's client connects to."""

_WAVE = 100_000
"""Most items that are in the object store at once."""

_BUNDLE = 16
"""Most items that an actor takes at once."""

_ROUNDS = 64
"""Fewest bundles for each actor, so that all end at nearly the same time."""

_INHERITED = ("SOLOIST_HOME", "SOLOIST_OFFLINE", "SOLOIST_IMPORT", "SOLOIST_TRUST", "PYTHONPATH")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt(Generic[Item, Result]):
    """An item of work that is over.

    Attributes:
        item: The item.
        result: Its last result; None if the actor died at it each time.
        number: Number of attempts that were made.
    """

    item: Item
    result: Result | None
    number: int


class RayCluster:
    """Connection to a Ray cluster, whose actors work on items.

    Items and results go through the object store. Items of an actor that dies are tried again, one by one.

    Args:
        address: "auto" for a cluster that runs, or else one of this machine's own; "local" for the latter; or
            `ray://HOST:PORT`.
        jobs: Number of actors; None for one a device.
        device: Device of the actors.

    Raises:
        UsageError: Ray is not installed, or the address is none.
    """

    share: ClusterShare
    """Share of each actor, which is known while the cluster is connected."""

    def __init__(self, address: str, jobs: int | None = None, device: str = "auto") -> None:
        if address not in (_AUTO, _LOCAL) and not address.startswith(_CLIENT):
            raise UsageError(f"--cluster is auto, local or ray://HOST:PORT, not {address!r}")
        # Read at the import.
        os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        self._ray = import_extra("ray", "cluster")
        import_extra("ray.data", "cluster")
        self._address, self._jobs, self._device = address, jobs, device

    def __enter__(self) -> RayCluster:
        self._connect()
        self.share = ClusterShare.of(self._ray.cluster_resources(), self._jobs, self._device)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def _connect(self) -> None:
        # Ray takes signals for itself, and a command must end as it always does.
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._join(self._address)
        except ConnectionError as error:
            if self._address != _AUTO:
                raise self._lost(error) from error
            _log.warning("no Ray cluster runs here: one of this machine alone is started")
            self._join(_LOCAL)
        except Exception as error:
            raise self._lost(error) from error
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _join(self, address: str) -> None:
        variables = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        options: dict[str, Any] = {"runtime_env": {"env_vars": variables}, "log_to_driver": False}
        if address == _LOCAL:
            options["num_cpus"] = max(self._jobs or 1, os.cpu_count() or 1)
            options["include_dashboard"] = False
        with warnings.catch_warnings():
            # The error that follows says the same.
            warnings.simplefilter("ignore", UserWarning)
            self._ray.init(address=address, logging_level=logging.CRITICAL, **options)

    def _lost(self, error: Exception) -> UsageError:
        return UsageError(f"no Ray cluster at {self._address}: {one_line(error)}")

    def run(
        self,
        start: Callable[[int], Callable[[Item], Result | None]],
        items: Sequence[Item],
        mendable: Callable[[Result], bool] = lambda result: False,
    ) -> Iterator[Attempt[Item, Result]]:
        """Work on items, begun in their order; they come as they are over.

        Args:
            start: Function that each actor calls with its number of threads, and that gives the function for
                an item; one that returns None died at it.
            items: The items.
            mendable: Function that tells of a result that another attempt may mend.

        Raises:
            SoloistError: The cluster is lost, or no actor can be started.
        """
        size = max(1, min(_BUNDLE, len(items) // (self.share.actors * _ROUNDS)))
        again: list[Item] = []
        for first in range(0, len(items), _WAVE):
            yield from self._pass(start, items[first : first + _WAVE], mendable, size, 1, again)
        for number in range(2, ATTEMPTS + 1):
            items, again = again, []
            yield from self._pass(start, items, mendable, 1, number, again)

    def _pass(
        self,
        start: Callable[[int], Callable[[Item], Result | None]],
        items: Sequence[Item],
        mendable: Callable[[Result], bool],
        size: int,
        number: int,
        again: list[Item],
    ) -> Iterator[Attempt[Item, Result]]:
        """Try items once; those that another attempt may mend are added to `again`, but for the last."""
        left, last = dict(enumerate(items)), number == ATTEMPTS
        for place, result in self._stream(start, items, size):
            if result is None:
                continue
            item = left.pop(place)
            if mendable(result) and not last:
                again.append(item)
            else:
                yield Attempt(item, result, number)
        # The actors that had them died.
        for item in left.values():
            if last:
                yield Attempt(item, None, number)
            else:
                again.append(item)

    def _stream(
        self, start: Callable[[int], Callable[[Item], Result | None]], items: Sequence[Item], size: int
    ) -> Iterator[tuple[int, Result | None]]:
        """Pass bundles of items through the actors; results come with the places of their items."""
        if not items:
            return
        take = self._results(start, items, size, self.share, os.getcwd())
        try:
            while (results := take()) is not None:
                yield from results
        except self._ray.exceptions.RayError as error:
            reason = one_line(str(error).strip().splitlines()[-1])
            raise SoloistError(f"the cluster failed: {reason}; the same command goes on") from error

    def _results(self, *arguments: Any) -> Callable[[], list[tuple[int, Any]] | None]:
        """Function for the results of the next bundle."""
        if not self._address.startswith(_CLIENT):
            return ResultStream(*arguments).take
        # Ray Data does not run behind Ray's client, but in any process of the cluster.
        actor = self._ray.remote(num_cpus=0)(ResultStream).remote(*arguments)
        return lambda: self._ray.get(actor.take.remote())
