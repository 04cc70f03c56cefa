"""Summary of results: a row of medians for each target and system."""

from __future__ import annotations

import math
from collections.abc import Sequence

from soloist.evaluation.results import SystemResults, all_metrics, all_targets, best_first
from soloist.metrics import summarize
from soloist.table_files import NO_VALUE, TextTable

UNPROCESSED = "(mixture)"
"""Name of the unprocessed mixture in the column of the systems."""


def summary_headings(systems: Sequence[SystemResults]) -> tuple[str, ...]:
    """Headings of the summary.

    `95 %` is the confidence interval of the SDR, `s/s` seconds of computing for a second of audio, `MB` the
    peak memory.
    """
    return ("target", "system", "tracks", "SDR", "95 %", *all_metrics(systems)[1:], "s/s", "MB")


def summary_table(systems: Sequence[SystemResults]) -> TextTable:
    """Summarize systems as a table; see `summary_rows`."""
    return TextTable(summary_headings(systems), summary_rows(systems), words=2)


def summary_rows(systems: Sequence[SystemResults]) -> list[list[str]]:
    """Make a row for each target and system, best SDR first: medians over tracks of medians over windows.

    The last row of a target is that of the unprocessed mixture.
    """
    return [
        row
        for target in all_targets(systems)
        for row in [
            *(
                [target, system.name, *_figures(system, target, all_metrics(systems)), *_cost(system)]
                for system in best_first(systems, target)
            ),
            *_unprocessed(systems, target),
        ]
    ]


def _unprocessed(systems: Sequence[SystemResults], target: str) -> list[list[str]]:
    """Row of the unprocessed mixture, by the system with most tracks; none for records without it."""
    known = max(systems, key=lambda system: len(system.unprocessed(target, "SDR")))
    if not (values := known.unprocessed(target, "SDR")):
        return []
    figures = {
        metric: decibels(summarize(known.unprocessed(target, metric))) for metric in all_metrics(systems)
    }
    cells = {"target": target, "system": UNPROCESSED, "tracks": str(len(values)), **figures}
    return [[cells.get(heading, NO_VALUE) for heading in summary_headings(systems)]]


def decibels(value: float) -> str:
    """Format a level with two decimals, or as `NO_VALUE` if not finite."""
    return f"{value:.2f}" if math.isfinite(value) else NO_VALUE


def _figures(system: SystemResults, target: str, metrics: Sequence[str]) -> list[str]:
    sdr, *others = (decibels(summarize(system.tracks(target, metric))) for metric in metrics)
    ends = system.interval(target, "SDR")
    known = [decibels(end) for end in ends or () if math.isfinite(end)]
    interval = "…".join(known) if len(known) == 2 else NO_VALUE
    return [str(len(system.tracks(target, "SDR"))), sdr, interval, *others]


def _cost(system: SystemResults) -> list[str]:
    factor, memory = system.real_time_factor, system.peak_memory
    return [
        NO_VALUE if factor is None else f"{factor:.3f}",
        NO_VALUE if memory is None else f"{memory:.0f}",
    ]
