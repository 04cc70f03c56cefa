"""All reports of a set of results: CSV and Parquet, Markdown and the HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from soloist.evaluation.page import render_page
from soloist.evaluation.result_tables import markdown_table, write_frames_csv, write_tracks_csv
from soloist.evaluation.results import SystemResults

TRACKS_CSV, FRAMES_CSV, TABLE, PAGE = "tracks.csv", "frames.csv", "table.md", "report.html"


def write_reports(folder: Path, systems: Sequence[SystemResults]) -> Path:
    """Write all reports into a folder; return the path of the HTML page."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tracks_csv(folder / TRACKS_CSV, systems)
    write_frames_csv(folder / FRAMES_CSV, systems)
    for table in (TRACKS_CSV, FRAMES_CSV):
        _write_parquet(folder / table)
    (folder / TABLE).write_text(markdown_table(systems), encoding="utf-8")
    page = folder / PAGE
    page.write_text(render_page(systems), encoding="utf-8")
    return page


def _write_parquet(table: Path) -> None:
    """Write a CSV table as Parquet beside it, where pyarrow (the extra `parquet`) is installed."""
    if find_spec("pyarrow") is None:
        return
    from pyarrow import csv, parquet

    parquet.write_table(csv.read_csv(table), table.with_suffix(".parquet"))
