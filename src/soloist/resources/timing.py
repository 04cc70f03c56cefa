"""Duration of computations and age of the process."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import psutil

from soloist.errors import UsageError

T = TypeVar("T")

_LEAST_RUNS = 3
_MOST_RUNS = 1000


@dataclass(frozen=True)
class TimedRuns:
    """Durations of the runs of a computation, in s.

    Attributes:
        median: Median duration.
        low: First quartile.
        high: Third quartile.
        runs: Number of runs.
    """

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, seconds: list[float]) -> TimedRuns:
        """Summarize the durations of one or more runs."""
        low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
        return cls(float(median), float(low), float(high), len(seconds))


def measure_time(
    run: Callable[[T], object],
    prepare: Callable[[], T],
    *,
    budget: float = 2.0,
    wait: Callable[[], object] = lambda: None,
) -> TimedRuns:
    """Time a computation until the budget is spent, at least three times.

    A first run warms up: it counts only if it alone takes longer than the budget.

    Args:
        run: Computation to time.
        prepare: Makes the argument of `run` anew for each run; not timed, but part of the budget.
        budget: Seconds.
        wait: Returns when the device is idle.

    Raises:
        UsageError: The budget is not more than 0 s.
    """
    if not budget > 0:
        raise UsageError(f"the time for a figure must be more than 0 s, not {budget:g}")
    first = _time_once(run, prepare, wait)
    seconds = [first] if first > budget else []
    begun = time.perf_counter()
    while len(seconds) < _LEAST_RUNS or (
        len(seconds) < _MOST_RUNS and time.perf_counter() - begun + sum(seconds) / len(seconds) < budget
    ):
        seconds.append(_time_once(run, prepare, wait))
    return TimedRuns.of(seconds)


def process_age() -> float:
    """Seconds since the start of this process."""
    started = psutil.Process().create_time()
    if sys.platform == "linux":
        # psutil adds the time of the boot, which Linux rounds to seconds.
        return time.clock_gettime(time.CLOCK_BOOTTIME) - (started - psutil.boot_time())
    return time.time() - started


def _time_once(run: Callable[[T], object], prepare: Callable[[], T], wait: Callable[[], object]) -> float:
    prepared = prepare()
    wait()
    begun = time.perf_counter()
    run(prepared)
    wait()
    return time.perf_counter() - begun
