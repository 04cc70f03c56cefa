"""Times: what is counted, how often, for how long."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from soloist.errors import UsageError
from soloist.resources import TimedRuns, measure_time

AGE = "from soloist.resources import process_age; print(process_age())"


def sleeper(*seconds: float):
    """Sleeps for so long at each call, at later ones as long as at the last."""
    calls: list[float] = []

    def run(_: object) -> None:
        calls.append(seconds[min(len(calls), len(seconds) - 1)])
        time.sleep(calls[-1])

    return run, calls


def test_a_short_first_run_only_warms_up():
    run, calls = sleeper(0.5, 0.002)
    timing = measure_time(run, lambda: None, budget=0.6)
    assert 0.002 <= timing.low <= timing.median <= timing.high < 0.5
    assert timing.runs == len(calls) - 1 > 3


def test_long_runs_are_three_and_the_first_counts():
    run, calls = sleeper(0.02)
    timing = measure_time(run, lambda: None, budget=0.001)
    assert timing.runs == len(calls) == 3


def test_preparing_is_not_timed_but_spends_the_budget():
    run, calls = sleeper(0.001)
    timing = measure_time(run, lambda: time.sleep(0.1), budget=0.3)
    assert timing.median < 0.1
    assert len(calls) <= 4


def test_each_run_gets_what_was_prepared_for_it():
    prepared, given = iter(range(100)), []
    measure_time(given.append, lambda: next(prepared), budget=1e-9)
    assert given == [0, 1, 2]


def test_the_device_is_waited_for_within_the_time():
    waits = []
    timing = measure_time(
        lambda _: None, lambda: None, budget=1e-9, wait=lambda: waits.append(time.sleep(0.01))
    )
    assert len(waits) == 2 * timing.runs
    assert timing.median >= 0.01


def test_quartiles():
    assert TimedRuns.of([4.0, 1.0, 2.0, 3.0, 5.0]) == TimedRuns(3.0, 2.0, 4.0, 5)
    assert TimedRuns.of([7.0]) == TimedRuns(7.0, 7.0, 7.0, 1)


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan")])
def test_a_budget_is_more_than_nothing(budget):
    with pytest.raises(UsageError, match="more than 0 s"):
        measure_time(lambda _: None, lambda: None, budget=budget)


def test_the_age_of_a_process_is_less_than_its_whole_life():
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", AGE], capture_output=True, text=True, check=True)
    # Linux counts in hundredths of a second.
    assert 0.02 < float(done.stdout) < time.monotonic() - begun + 0.02
