"""Results of a pool of Ray's actors, as Ray Data streams them."""

from __future__ import annotations

import logging
import os
import pickle
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from soloist.errors import UsageError
from soloist.resources import import_extra

_CONTENT = "content"

Item = TypeVar("Item")
Result = TypeVar("Result")


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

    @property
    def threads(self) -> int:
        """Processor threads of an actor."""
        return max(1, int(self.cpus))


def _share(devices: int, actors: int) -> float:
    """Devices of each actor: a part of one, or a whole number, as Ray gives them out."""
    return devices / actors if devices < actors else float(devices // actors)


class ResultStream(Generic[Item, Result]):
    """Stream of results that actors make of bundles of items.

    Args:
        start: Function that each actor calls with its number of threads, and that gives the function for an
            item.
        items: The items.
        size: Items of a bundle.
        share: Number of actors, and what each has.
        folder: Working folder of the actors, for relative paths; a node that lacks it leaves it out.
    """

    def __init__(
        self,
        start: Callable[[int], Callable[[Item], Result | None]],
        items: Sequence[Item],
        size: int,
        share: ClusterShare,
        folder: str,
    ) -> None:
        data = import_extra("ray.data", "cluster")
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        # An actor that dies costs its bundle in this pass, and not the run.
        context.max_errored_blocks = -1
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        numbered = list(enumerate(items))
        bundles = [
            {_CONTENT: pickle.dumps(numbered[first : first + size])} for first in range(0, len(items), size)
        ]
        blocks = data.from_items(bundles, override_num_blocks=len(bundles))
        with warnings.catch_warnings():
            # Ray names no other way yet to leave out its own retries, which have no end.
            warnings.simplefilter("ignore", DeprecationWarning)
            rows = blocks.map(
                BundleWorker,
                fn_constructor_args=(start, share.threads, folder),
                compute=data.ActorPoolStrategy(size=share.actors, max_tasks_in_flight_per_actor=1),
                num_cpus=share.cpus,
                num_gpus=share.gpus,
                max_restarts=-1,
                max_task_retries=0,
            )
        self._rows = iter(rows.iter_rows())

    def take(self) -> list[tuple[int, Result | None]] | None:
        """Results of the next bundle that is over, with the places of its items; None at the end."""
        row = next(self._rows, None)
        return None if row is None else pickle.loads(row[_CONTENT])


class BundleWorker:
    """Actor that works on bundles of items, and keeps what it has loaded.

    Args:
        start: See `RayCluster.run`.
        threads: Processor threads.
        folder: Working folder of the command, for relative paths; one that the node lacks is left out.
    """

    def __init__(self, start: Callable[[int], Callable[[Any], Any]], threads: int, folder: str) -> None:
        with suppress(OSError):
            os.chdir(folder)
        self._work = start(threads)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Work on the items of a bundle, and return their results."""
        done = [(place, self._work(item)) for place, item in pickle.loads(row[_CONTENT])]
        return {_CONTENT: pickle.dumps(done)}
