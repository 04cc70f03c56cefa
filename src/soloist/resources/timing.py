"""How long a computation takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from soloist.errors import UsageError

T = TypeVar("T")

_LEAST_RUNS = 3
_MOST_RUNS = 1000


@dataclass(frozen=True)
class TimedRuns:
    """Seconds that the runs of a computation took.

    Attributes:
        median: Half of them took less.
        low: A quarter of them took less.
        high: A quarter of them took more.
        runs: How many there were.
    """

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, seconds: list[float]) -> TimedRuns:
        """Summarise the runs, of which there is at least one."""
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
        run: What is timed.
        prepare: Makes what `run` is given, anew for each run; not timed, but part of the budget.
        budget: Seconds.
        wait: Returns when the device has done all that it was asked for.

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


def process_age() -> float | None:
    """Seconds since this process was started; None where the system does not say."""
    with suppress(OSError):
        # The 22nd field, counted from the end of the name, which may have anything in it.
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    return None


def _time_once(run: Callable[[T], object], prepare: Callable[[], T], wait: Callable[[], object]) -> float:
    prepared = prepare()
    wait()
    begun = time.perf_counter()
    run(prepared)
    wait()
    return time.perf_counter() - begun
