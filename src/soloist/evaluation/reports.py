"""Reports of a set of results: CSV and Parquet, Markdown and the HTML page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from soloist.evaluation.page import render_page
from soloist.evaluation.records import FRAME_METRICS, SeparationCost, TargetScores, TrackRecord
from soloist.evaluation.result_tables import summary_table
from soloist.evaluation.results import SystemResults, all_metrics
from soloist.files import whole_file, write_whole
from soloist.metrics import summarize
from soloist.table_files import write_table

TRACKS_CSV, FRAMES_CSV, TABLE, PAGE = "tracks.csv", "frames.csv", "table.md", "report.html"

_NAMES = ("system", "track", "target")
_COSTS = ("elapsed", "duration", "peak_memory_mb", "device")


def write_reports(folder: Path, systems: Sequence[SystemResults]) -> Path:
    """Write all reports into a folder; return the path of the HTML page."""
    write_tracks_csv(folder / TRACKS_CSV, systems)
    write_frames_csv(folder / FRAMES_CSV, systems)
    for table in (TRACKS_CSV, FRAMES_CSV):
        _write_parquet(folder / table)
    write_whole(folder / TABLE, format_markdown(systems))
    page = folder / PAGE
    write_whole(page, render_page(systems))
    return page


def report_files(folder: Path) -> list[Path]:
    """Files that `write_reports` may write."""
    tables = [folder / name for name in (TRACKS_CSV, FRAMES_CSV)]
    return [*tables, *(table.with_suffix(".parquet") for table in tables), folder / TABLE, folder / PAGE]


def write_tracks_csv(path: Path, systems: Sequence[SystemResults]) -> None:
    """Write a row for each system, track and target; see `track_rows`."""
    write_table(track_rows(systems), path, (*_NAMES, *all_metrics(systems), *_COSTS))


def track_rows(systems: Sequence[SystemResults]) -> list[dict[str, Any]]:
    """Make a row for each system, track and target: medians over windows, and costs."""
    own = all_metrics(systems)[len(FRAME_METRICS) :]
    return [
        _names(system, record, target)
        | {metric: _plain(summarize(target.frames[metric])) for metric in FRAME_METRICS}
        | {metric: _plain(target.whole.get(metric, math.nan)) for metric in own}
        | _costs(record)
        for system in systems
        for record in system.records
        for target in record.targets
    ]


def write_frames_csv(path: Path, systems: Sequence[SystemResults]) -> None:
    """Write a row for each system, track, target and window."""
    rows = [
        _names(system, record, target)
        | {"time": index * record.hop, "duration": record.window}
        | {metric: _plain(value) for metric, value in zip(FRAME_METRICS, values, strict=True)}
        for system in systems
        for record in system.records
        for target in record.targets
        for index, values in enumerate(zip(*(target.frames[metric] for metric in FRAME_METRICS), strict=True))
    ]
    write_table(rows, path, (*_NAMES, "time", "duration", *FRAME_METRICS))


def format_markdown(systems: Sequence[SystemResults]) -> str:
    """Format the summary as a Markdown table, with the failed tracks below."""
    failures = [
        f"- {system.name}: {track} has no scores: {reason}"
        for system in systems
        for track, reason in system.failures.items()
    ]
    return "\n".join([summary_table(systems).to_markdown(), *(["", *failures] if failures else []), ""])


def _write_parquet(table: Path) -> None:
    """Write a CSV table as Parquet beside the CSV, if pyarrow (the extra `parquet`) is installed."""
    if find_spec("pyarrow") is None:
        return
    from pyarrow import csv, parquet

    # Open files, because pyarrow opens no path that is not UTF-8.
    with (
        table.open("rb") as rows,
        whole_file(table.with_suffix(".parquet")) as staged,
        staged.open("wb") as file,
    ):
        parquet.write_table(csv.read_csv(rows), file)


def _names(system: SystemResults, record: TrackRecord, target: TargetScores) -> dict[str, Any]:
    return dict(zip(_NAMES, (system.name, record.track, target.name), strict=True))


def _costs(record: TrackRecord) -> dict[str, Any]:
    cost = record.cost or SeparationCost(math.nan)
    values = (_plain(cost.elapsed), _plain(record.duration), cost.peak_memory, cost.device)
    return dict(zip(_COSTS, values, strict=True))


def _plain(value: float) -> float | None:
    """Round a value for a table; None if not finite."""
    return round(value, 5) if math.isfinite(value) else None
