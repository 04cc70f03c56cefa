"""`soloist report`: one report of the results of several systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soloist.cli.console import loading, print_names
from soloist.cli.options import check_exists, keep_inputs


def report(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS...", help="Folders that evaluate or score wrote.", show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the HTML page, Markdown and CSV.")
    ] = Path("report"),
) -> None:
    """Merge results into one report: CSV, a Markdown table and one HTML page that needs no network.

    Folders of museval's own JSON files (SYSTEM/test/TRACK.json) are read as well.
    """
    check_exists(*results)
    with loading():
        from soloist.evaluation import load_results, write_reports
        from soloist.evaluation.reports import report_files
    records = [path for folder in results for path in folder.rglob("*.json")]
    keep_inputs("the report", report_files(output), records)
    print_names(write_reports(output, load_results(results)))
