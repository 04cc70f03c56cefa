"""Figures of a model on the test sets of a recipe, for `evaluate` and `train`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from soloist.cli.console import PrintedTable, loading, print_table, progress_bar
from soloist.cli.names import check_model, find_run
from soloist.cli.options import Override, keep_inputs
from soloist.errors import UsageError
from soloist.files import counted, expand_home

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from soloist.training import TestSet
    from soloist.training.results.testing import Advance, Figure


def measure_tests(
    name: str,
    recipe: str | None,
    overrides: Sequence[Override],
    *,
    output: Path | None,
    device: str,
    quiet: bool,
) -> None:
    """Measure a run, or another model, on the test sets of a recipe, and print the figures.

    Args:
        name: Folder of a run, or a model by its name or folder.
        recipe: Recipe whose test sets are used; None for that of the run.
        overrides: Values in place of those of the recipe.
        output: Folder of the results; None for the run, whose model and card are then made anew.
        device: Device to compute on.
        quiet: Show no progress.

    Raises:
        UsageError: The name is no run and there is no recipe, or the recipe has no test sets.
    """
    if not expand_home(name).exists():
        check_model(name)
    if recipe is None and not expand_home(name).exists():
        raise _no_run(name)
    with loading(quiet=quiet):
        from soloist.training import RunFolder, read_recipe, run_tests, write_results
        from soloist.training.results.finish import finish
        from soloist.zoo import load
    run, whole = find_run(name)
    if recipe is None and run is None:
        raise _no_run(name)
    resolved = read_recipe(recipe or RunFolder(run or Path()).recipe, overrides)
    if not resolved.data.test:
        raise UsageError(f"the recipe {resolved.name} has no test sets: data.test is empty")
    if output is not None:
        outputs = [output / "results.json", output / "results.csv"]
        keep_inputs("a file of the results", outputs, filter(None, [recipe, resolved.data.root]))
    with tests_progress(quiet=quiet) as advance:
        if run is not None and whole and recipe is None and output is None:
            tests = finish(resolved, RunFolder(run), device=device, advance=advance)
        else:
            source = RunFolder(run).model if run is not None and whole else name
            tests = run_tests(load(source), resolved, device=device, advance=advance)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_results(output / "results.json", tests, {"model": name, "recipe": resolved.name})
    show_tests(tests)


def _no_run(name: str) -> UsageError:
    return UsageError(
        f"{name} is not a run: name at least one model or oracle, and then the folder of the corpus; "
        "or give --recipe, for the test sets of a recipe"
    )


@contextmanager
def tests_progress(*, quiet: bool) -> Iterator[Advance]:
    """Show the progress of each test set; gives the function to call after each example."""
    tasks: dict[str, TaskID] = {}
    with ExitStack() as opened:
        bars: list[Progress] = []

        def advance(name: str, done: int, total: int) -> None:
            # Not before the first example: an empty bar erases the line of the training, ten times a second.
            if not bars:
                bars.append(opened.enter_context(progress_bar(quiet=quiet)))
            if name not in tasks:
                tasks[name] = bars[0].add_task(f"testing, {name}", total=total)
            bars[0].update(tasks[name], completed=done)

        yield advance


def show_tests(tests: Sequence[TestSet]) -> None:
    """Print the mean, its interval and the median for each test set, target and measure."""
    from soloist.training.results.testing import LABELS

    if not tests:
        return
    numbers = ("mean", "95 % interval", "median", "examples")
    rows = [
        (outcome.name, target, label, *_cells(figures[measure]), str(len(outcome.examples)))
        for outcome in tests
        for target, figures in outcome.figures.items()
        for measure, label in LABELS.items()
        # Without silent sources, a figure that is no number is a fault of the model, which is shown.
        if not (outcome.silent and isnan(figures[measure].mean))
    ]
    if rows:
        print_table(PrintedTable(("test set", "target", "measure (dB)", *numbers), rows, numbers))
    for outcome in tests:
        if outcome.silent:
            typer.echo(f"{outcome.name}: silent in all examples: {', '.join(outcome.silent)}", err=True)
        if outcome.skipped:
            typer.echo(
                f"{outcome.name}: {counted(len(outcome.skipped), 'example')} could not be read", err=True
            )


def _cells(figure: Figure) -> tuple[str, str, str]:
    return f"{figure.mean:.2f}", f"{figure.low:.2f} to {figure.high:.2f}", f"{figure.median:.2f}"
