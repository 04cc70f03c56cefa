"""`soloist runs`: trainings side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soloist.cli.console import PrintedTable, print_json, print_table, warn
from soloist.cli.options import JsonOption, keep_inputs
from soloist.errors import UsageError

if TYPE_CHECKING:
    from soloist.training import Run

_HEADINGS = ("name", "recipe", "state", "epochs", "steps", "best", "test", "parameters", "time")
_COMPACT = ("name", "state", "epochs", "best", "test", "parameters")
"""Headings of the columns that a terminal of 80 columns has room for."""

_NUMBERS = ("epochs", "steps", "parameters", "time")


def runs(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of runs, or with runs below; default: runs.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="Column to sort by: best, seconds, test/SET/si_sdri, ...; see --csv.")
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show the keys in which the recipes differ.")] = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write the table to a file, .csv or .xlsx, instead.", show_default=False
        ),
    ] = None,
) -> None:
    """Compare trainings: progress, quality, size, and the keys in which their recipes differ.

    `soloist runs runs --sort best` · `soloist runs runs/a runs/b --diff` · `soloist runs -o runs.xlsx`
    """
    from soloist.table_files import check_format, format_csv, write_table
    from soloist.training import compare_recipes, find_runs, sort_runs
    from soloist.training.results.run_folder import run_files

    if sum((as_json, as_csv, output is not None)) > 1:
        raise UsageError("choose one of --json, --csv and --output")
    if output is not None:
        check_format(output)
    listed = find_runs(folders or [Path("runs")])
    if output is not None:
        keep_inputs("the table", [output], [file for folder in listed.values() for file in run_files(folder)])
    found, damaged = _read(listed)
    found = sort_runs(found, sort) if sort else found
    table = compare_recipes(found) if diff else {}
    rows = _difference_rows(found, table) if diff else [run.to_row() for run in found]
    if output is not None:
        write_table(rows, output)
    elif as_csv:
        typer.echo(format_csv(rows), nl=False)
    elif as_json and diff:
        print_json({key: dict(zip(_names(found), values, strict=True)) for key, values in table.items()})
    elif as_json:
        print_json([run.to_dict() for run in found])
    elif diff:
        _show_differences(_names(found), rows)
    else:
        show_runs(found)
    if damaged:
        raise typer.Exit(1)


def show_runs(runs: Iterable[Run]) -> None:
    """Print a line for each run."""
    rows = [_cells(run) for run in runs]
    shown = [_HEADINGS.index(heading) for heading in _COMPACT]
    compact = PrintedTable(_COMPACT, [[row[index] for index in shown] for row in rows], _NUMBERS)
    print_table(PrintedTable(_HEADINGS, rows, _NUMBERS), compact)


def _read(folders: dict[str, Path]) -> tuple[list[Run], bool]:
    """Read runs and warn of damaged ones; the second value is True if there are any."""
    from soloist.errors import SoloistError
    from soloist.training import read_run

    found: list[Run] = []
    for name, folder in folders.items():
        try:
            found.append(read_run(name, folder))
        except SoloistError as error:
            warn(str(error))
    return found, len(found) < len(folders)


def _names(runs: Iterable[Run]) -> list[str]:
    return [run.name for run in runs]


def _difference_rows(runs: Sequence[Run], table: dict[str, list[Any]]) -> list[dict[str, str]]:
    """Rows of the keys in which recipes differ, with a column for each run; values as JSON."""
    from soloist.files import json_text

    return [
        {"key": key}
        | {
            name: "" if value is None else json_text(value, ensure_ascii=False)
            for name, value in zip(_names(runs), values, strict=True)
        }
        for key, values in table.items()
    ]


def _show_differences(names: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    if rows:
        print_table(PrintedTable(["key", *names], [list(row.values()) for row in rows]))
    else:
        typer.echo("the recipes are the same")


def _cells(run: Run) -> list[str]:
    """Cells of a run."""
    epochs = run.recipe.get("trainer", {}).get("max_epochs")
    measure = run.monitor.removeprefix("valid/")
    return [
        run.name,
        str(run.recipe.get("name", "")),
        run.state,
        f"{run.epochs}/{epochs}" if epochs else str(run.epochs),
        str(run.steps),
        "" if run.best is None else f"{run.best:.2f} {measure}",
        _describe_tests(run, measure),
        "" if run.parameters is None else _describe_size(run.parameters),
        "" if run.seconds is None else str(timedelta(seconds=round(run.seconds))),
    ]


def _describe_tests(run: Run, measure: str) -> str:
    """The monitored measure on each test set, or the first one that was measured there."""
    cells = []
    for name, figures in run.tests.items():
        shown = measure if measure in figures else next(iter(figures), None)
        if shown is not None:
            value = figures[shown]
            cells.append(f"{name}: {'n/a' if value is None else f'{value:.2f}'} {shown}")
    return "; ".join(cells)


def _describe_size(parameters: int) -> str:
    return f"{parameters / 1e6:.2f} M" if parameters >= 1e5 else f"{parameters / 1e3:.1f} k"
