"""Tables of results: CSV of every track and every window, and Markdown of the systems."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from soloist.evaluation.records import FRAME_METRICS, TRACK_METRICS, SeparationCost, TrackRecord
from soloist.evaluation.results import METRICS, SystemResults, all_targets, best_first
from soloist.metrics import summarize

NO_VALUE = "-"
"""What stands in a table for a figure that there is not."""

_COST_COLUMNS = ("elapsed", "duration", "peak_memory_mb", "device")


def write_tracks_csv(path: Path, systems: Sequence[SystemResults]) -> None:
    """Write a row for each system, track and target: medians over windows, and what it cost."""
    rows = (
        (
            *(system.name, record.track, target.name),
            *(_plain(summarize(target.frames[metric])) for metric in FRAME_METRICS),
            *(_plain(target.whole.get(metric, math.nan)) for metric in TRACK_METRICS),
            *_cost_of(record),
        )
        for system in systems
        for record in system.records
        for target in record.targets
    )
    write_csv(path, ("system", "track", "target", *METRICS, *_COST_COLUMNS), rows)


def write_frames_csv(path: Path, systems: Sequence[SystemResults]) -> None:
    """Write a row for each system, track, target and window."""
    rows = (
        (system.name, record.track, target.name, index * record.hop, record.window, *map(_plain, values))
        for system in systems
        for record in system.records
        for target in record.targets
        for index, values in enumerate(zip(*(target.frames[metric] for metric in FRAME_METRICS), strict=True))
    )
    write_csv(path, ("system", "track", "target", "time", "duration", *FRAME_METRICS), rows)


def summary_rows(systems: Sequence[SystemResults]) -> list[list[str]]:
    """A row for each target and system, best SDR first: medians over tracks of medians over windows."""
    return [
        [target, system.name, *_figures(system, target), *_cost(system)]
        for target in all_targets(systems)
        for system in best_first(systems, target)
    ]


SUMMARY_HEADINGS = ("target", "system", "tracks", "SDR", "95 %", *METRICS[1:], "s/s", "MB")
"""Headings of the summary.

`95 %` is the confidence interval of the SDR, `s/s` seconds of computing for a second of audio, `MB` the peak
memory.
"""


def markdown_table(systems: Sequence[SystemResults]) -> str:
    """The summary as a Markdown table, with the tracks that failed below it."""
    table = markdown_rows(SUMMARY_HEADINGS, summary_rows(systems), words=2)
    failures = [
        f"- {system.name}: {track} has no scores: {reason}"
        for system in systems
        for track, reason in system.failures.items()
    ]
    return "\n".join([table, *(["", *failures] if failures else []), ""])


def markdown_rows(headings: Sequence[str], rows: Iterable[Sequence[str]], *, words: int) -> str:
    """A Markdown table, without the last line's end.

    Args:
        headings: Of the columns.
        rows: Their cells.
        words: How many columns, from the left, hold words; the others hold figures.
    """
    rules = ["---"] * words + ["---:"] * (len(headings) - words)
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rules, *rows))


def _cost_of(record: TrackRecord) -> tuple[object, ...]:
    cost = record.cost or SeparationCost(math.nan)
    return _plain(cost.elapsed), _plain(record.duration), cost.peak_memory, cost.device


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


def decibels(value: float) -> str:
    """A level with two decimals, or `NO_VALUE`."""
    return f"{value:.2f}" if math.isfinite(value) else NO_VALUE


def _plain(value: float) -> float | str:
    return round(value, 5) if math.isfinite(value) else ""


def write_csv(path: Path, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table; what is None is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(headings)
        writer.writerows(rows)
