"""`soloist train`: a model from a recipe and a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soloist.cli.overrides import check_overrides, parse_arguments
from soloist.cli.test import progress, show_tests
from soloist.errors import SoloistError, UsageError


def train(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE [--KEY VALUE]...",
            help="A recipe's file, or the name of a shipped one; then values in place of the recipe's.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the run; default: runs/RECIPE.", show_default=False),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with the run in this folder, with its own recipe.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there.")] = False,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the resolved recipe and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result, and errors.")] = False,
) -> None:
    """Train a model as a recipe says, test it, and keep everything in one folder.

    Any key of the recipe can be given on the command line: `--data.root PATH`, `--trainer.max_epochs 50`,
    `--separator.network.num_blocks 4`. A training that was stopped, however, goes on with --resume as if it
    had not been.

    `soloist train tiny-sudormrf-digits --data.root free-spoken-digit-dataset`

    `soloist train --resume runs/tiny-sudormrf-digits`
    """
    from soloist.training import RunFolder, read_recipe

    names, overrides = parse_arguments(arguments or [])
    check_overrides(overrides, train)
    _check_choice(names, resume, output, overwrite)
    if resume is not None:
        RunFolder(resume).check(resume=True, overwrite=False)
    recipe = read_recipe(RunFolder(resume).recipe if resume is not None else names[0], overrides)
    if print_config:
        typer.echo(recipe.to_yaml(), nl=False)
        return
    require_lightning()
    from soloist.training import is_first_process
    from soloist.training import train as run

    folder = resume or output or Path("runs") / recipe.name
    try:
        with progress(quiet=quiet) as advance:
            tests = run(
                recipe,
                folder,
                resume=resume is not None,
                overwrite=overwrite,
                quiet=quiet,
                advance=advance,
            )
    except SoloistError as error:
        if is_first_process():
            raise
        # The first process says what is wrong; once is enough.
        raise typer.Exit(error.exit_code) from error
    if tests is not None:
        show_tests(tests)
        typer.echo(f"model: {RunFolder(folder).model}", err=True)


def _check_choice(names: list[str], resume: Path | None, output: Path | None, overwrite: bool) -> None:
    if resume is not None and (names or output is not None or overwrite):
        what = "a recipe" if names else "--output" if output is not None else "--overwrite"
        raise UsageError(
            f"--resume goes on with a run in its own folder, with its own recipe: leave out {what}"
        )
    if resume is None and len(names) != 1:
        raise UsageError(f"name one recipe, not {' '.join(names) or 'none'}; --resume RUN goes on with a run")


def require_lightning() -> None:
    """Refuse to train without the packages that only training needs.

    Raises:
        UsageError: They are not installed.
    """
    try:
        import lightning  # noqa: F401
    except ImportError as error:
        raise UsageError('training needs more packages: pip install "soloist[train]"') from error
