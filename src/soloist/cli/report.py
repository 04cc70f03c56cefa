"""`soloist report`: one report of the results of several systems, or of separated libraries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soloist.cli.console import PrintedTable, loading, named, print_json, print_names, print_table
from soloist.cli.options import check_exists, keep_inputs
from soloist.errors import UsageError
from soloist.table_files import NO_VALUE

if TYPE_CHECKING:
    from soloist.library import ManifestSummary
    from soloist.library.manifest_summary import ModelFigures


def report(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS...",
            help="Folders that evaluate or score wrote; or output folders of separate with a manifest.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the HTML page, Markdown and CSV; default: report.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report of a library as JSON.")] = False,
) -> None:
    """Merge results into one report: CSV, a Markdown table and one HTML page that needs no network.

    Folders of museval's own JSON files (SYSTEM/test/TRACK.json) are read as well.

    Of output folders of `soloist separate` that have a manifest: throughput, models, failures by kind and the
    slowest recordings, printed.
    """
    check_exists(*results)
    from soloist.library.manifest import has_manifest

    if all(has_manifest(folder) for folder in results):
        if output is not None:
            raise UsageError("the report of a library is printed: leave out --output; --json is for programs")
        _report_library(results, as_json=as_json)
        return
    if as_json:
        raise UsageError(f"--json is for the report of a library, and {results[0]} has no manifest")
    with loading():
        from soloist.evaluation import load_results, write_reports
        from soloist.evaluation.reports import report_files
    output = output or Path("report")
    records = [path for folder in results for path in folder.rglob("*.json")]
    keep_inputs("the report", report_files(output), records)
    print_names(write_reports(output, load_results(results)))


def _report_library(results: list[Path], *, as_json: bool) -> None:
    """Print the summary of manifests."""
    from soloist.library.manifest_summary import summarize

    summary = summarize(results)
    if as_json:
        print_json(summary.as_dict())
        return
    speed = summary.hours / summary.span_hours if summary.span_hours else 0.0
    typer.echo(
        f"{summary.separated} separated, {summary.found} found finished, {summary.failed} failed: "
        f"{summary.hours:.2f} h of audio in {summary.busy_hours:.2f} h of workers; "
        f"{summary.span_hours:.2f} h from first to last, {speed:.1f} times real time"
    )
    for table in _tables(summary):
        if table.rows:
            typer.echo()
            print_table(table)


def _tables(summary: ManifestSummary) -> Iterator[PrintedTable]:
    yield PrintedTable(
        ("model", "files", "hours", "x real time", "MB", "null test, dBFS"),
        [
            (each.model, str(each.files), f"{each.hours:.2f}", f"{each.speed:.1f}", *_figures(each))
            for each in summary.models
        ],
        ("files", "hours", "x real time", "MB", "null test, dBFS"),
    )
    yield PrintedTable(
        ("failures", "files", "row", "such as"),
        [(each.kind, str(each.files), _row(each.row), named(each.example)) for each in summary.failures],
        ("files", "row"),
    )
    yield PrintedTable(
        ("slowest", "model", "audio, s", "took, s", "row"),
        [
            (named(each.input), each.model, f"{each.seconds:.1f}", f"{each.elapsed:.1f}", _row(each.row))
            for each in summary.slowest
        ],
        ("audio, s", "took, s", "row"),
    )


def _row(number: int | None) -> str:
    return NO_VALUE if number is None else str(number)


def _figures(model: ModelFigures) -> tuple[str, str]:
    memory, level = model.memory, model.null_dbfs
    return NO_VALUE if memory is None else f"{memory:.0f}", NO_VALUE if level is None else f"{level:.1f}"
