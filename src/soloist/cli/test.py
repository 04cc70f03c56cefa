"""`soloist test`: how good a trained model is on the test sets of a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from soloist.cli.overrides import check_overrides, parse_arguments
from soloist.errors import UsageError

if TYPE_CHECKING:
    from soloist.training import TestSet
    from soloist.training.results.testing import Advance, Figure

_NARROWEST = 100


def measure(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_OR_MODEL [--KEY VALUE]...",
            help="Folder of a run, or a model by its name or folder; then values in place of the recipe's.",
            show_default=False,
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(help="Whose test sets to use, for a model that is not in its run.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the results; default: the run.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option("--device", "-d", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result, and errors.")] = False,
) -> None:
    """Measure a trained model on the test sets of its recipe (`data.test`).

    The best state of a run is made the run's model anew, and what comes out is written into its card.

    `soloist test runs/tiny-sudormrf-digits`

    `soloist test my-model --recipe tiny-sudormrf-digits --data.root free-spoken-digit-dataset -o results`
    """
    from soloist.training import RunFolder, read_recipe, run_tests, write_results
    from soloist.training.results.finish import finish
    from soloist.zoo import load

    names, overrides = parse_arguments(arguments)
    check_overrides(overrides, measure)
    if len(names) != 1:
        raise UsageError(f"name one run or model, not {' '.join(names) or 'none'}")
    run, whole = find_run(names[0])
    if recipe is None and run is None:
        raise UsageError(f"{names[0]} is not a run: say with --recipe whose test sets to use")
    resolved = read_recipe(recipe or RunFolder(run or Path()).recipe, overrides)
    if not resolved.data.test:
        raise UsageError(f"the recipe {resolved.name} has no test sets: data.test is empty")
    with progress(quiet=quiet) as advance:
        if run is not None and whole and recipe is None and output is None:
            tests = finish(resolved, RunFolder(run), device=device, advance=advance)
        else:
            source = RunFolder(run).model if run is not None and whole else names[0]
            tests = run_tests(load(source), resolved, device=device, advance=advance)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_results(output / "results.json", tests, {"model": names[0], "recipe": resolved.name})
    show_tests(tests)


def find_run(name: str) -> tuple[Path | None, bool]:
    """The run that a name means, or in which the model lies that it means; and whether it means the run."""
    from soloist.training import RunFolder

    path = Path(name).expanduser()
    if RunFolder(path).recipe.is_file():
        return path, True
    inside = path.is_dir() and RunFolder(path.resolve().parent).recipe.is_file()
    return (path.resolve().parent if inside else None), False


@contextmanager
def progress(*, quiet: bool) -> Iterator[Advance]:
    """Show how far the tests have come; gives the function to call after each example."""
    console = Console(stderr=True)
    tasks: dict[str, TaskID] = {}
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:

        def advance(name: str, done: int, count: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(f"testing, {name}", total=count)
            bar.update(tasks[name], completed=done)

        yield advance


def show_tests(tests: Sequence[TestSet]) -> None:
    """Print a table: for each test set, target and measure the mean, its interval, and the median."""
    from soloist.training.results.testing import LABELS

    if not tests:
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("test set", "target", "measure (dB)"):
        table.add_column(heading)
    for heading in ("mean", "95 % interval", "median", "examples"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in tests:
        for target, figures in outcome.figures.items():
            for measure, label in LABELS.items():
                row = (outcome.name, target, label, *_cells(figures[measure]), str(len(outcome.examples)))
                table.add_row(*row, end_section=measure == list(LABELS)[-1])
    # Figures that are cut tell nothing: a narrow terminal wraps the lines.
    console = Console()
    Console(width=max(console.width, _NARROWEST)).print(table)
    for outcome in tests:
        if outcome.skipped:
            typer.echo(f"{outcome.name}: {len(outcome.skipped)} examples could not be read", err=True)


def _cells(figure: Figure) -> tuple[str, str, str]:
    return f"{figure.mean:.2f}", f"{figure.low:.2f} to {figure.high:.2f}", f"{figure.median:.2f}"
