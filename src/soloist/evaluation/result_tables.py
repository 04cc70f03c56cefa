"""Summary of results: a row of medians for each target and system."""

from __future__ import annotations

import math
from collections.abc import Sequence

from soloist.evaluation.results import METRICS, SystemResults, all_targets, best_first
from soloist.metrics import summarize
from soloist.table_files import NO_VALUE, TextTable

SUMMARY_HEADINGS = ("target", "system", "tracks", "SDR", "95 %", *METRICS[1:], "s/s", "MB")
"""Headings of the summary.

`95 %` is the confidence interval of the SDR, `s/s` seconds of computing for a second of audio, `MB` the peak
memory.
"""


def summary_table(systems: Sequence[SystemResults]) -> TextTable:
    """Summarize systems as a table; see `summary_rows`."""
    return TextTable(SUMMARY_HEADINGS, summary_rows(systems), words=2)


def summary_rows(systems: Sequence[SystemResults]) -> list[list[str]]:
    """Make a row for each target and system, best SDR first: medians over tracks of medians over windows."""
    return [
        [target, system.name, *_figures(system, target), *_cost(system)]
        for target in all_targets(systems)
        for system in best_first(systems, target)
    ]


def decibels(value: float) -> str:
    """Format a level with two decimals, or as `NO_VALUE` if not finite."""
    return f"{value:.2f}" if math.isfinite(value) else NO_VALUE


def _figures(system: SystemResults, target: str) -> list[str]:
    sdr, *others = (decibels(summarize(system.tracks(target, metric))) for metric in METRICS)
    ends = system.interval(target, "SDR")
    interval = NO_VALUE if ends is None else "…".join(map(decibels, ends))
    return [str(len(system.tracks(target, "SDR"))), sdr, interval, *others]


def _cost(system: SystemResults) -> list[str]:
    factor, memory = system.real_time_factor, system.peak_memory
    return [
        NO_VALUE if factor is None else f"{factor:.3f}",
        NO_VALUE if memory is None else f"{memory:.0f}",
    ]
