"""`soloist run`: an experiment from its recipe to its tables and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soloist.cli.overrides import check_overrides, parse_arguments
from soloist.cli.runs import show_runs
from soloist.cli.test import progress
from soloist.cli.train import require_lightning
from soloist.errors import SoloistError, UsageError

if TYPE_CHECKING:
    from soloist.training import Stage


def run(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE [--KEY VALUE]...",
            help="A recipe's file, or the name of a shipped one; then values in place of the recipe's.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the experiment; default: experiments/RECIPE.",
            show_default=False,
        ),
    ] = None,
    stages: Annotated[
        str | None,
        typer.Option(help="Only these, such as train,evaluate; default: the recipe's.", show_default=False),
    ] = None,
    force: Annotated[
        str | None,
        typer.Option(metavar="STAGES", help="Do these again from the beginning.", show_default=False),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the table, and errors.")] = False,
) -> None:
    """Do everything with a recipe: prepare, train, evaluate, visualize, analyze.

    What is done is skipped; after a kill at any moment the same command does the rest, and a training goes on
    as if it had not been interrupted. A recipe with a section `sweep` is trained with all of its values.

    `soloist run my_model.yaml --data.root corpora`

    `soloist run my_model.yaml --stages evaluate,analyze`
    """
    from soloist.training import read_recipe

    names, overrides = parse_arguments(arguments)
    check_overrides(overrides, run)
    if len(names) != 1:
        raise UsageError(f"name one recipe, not {' '.join(names) or 'none'}")
    recipe = read_recipe(names[0], overrides)
    require_lightning()
    from soloist.training import Experiment, is_first_process, parse_stages, run_experiment

    chosen, again = parse_stages(stages), parse_stages(force)

    def tell(stage: Stage, what: str) -> None:
        if not quiet:
            typer.echo(f"{stage}: {what}", err=True)

    folder = output or Path("experiments") / recipe.name
    with progress(quiet=quiet) as advance:
        experiment = Experiment(recipe, folder, quiet=quiet, advance=advance)
        try:
            run_experiment(experiment, tell, stages=chosen, force=again)
        except SoloistError as error:
            if is_first_process():
                raise
            raise typer.Exit(error.exit_code) from error
    if not is_first_process():
        return
    if found := experiment.read_runs():
        show_runs(found)
    for failure in (failures := experiment.failures()):
        typer.echo(f"soloist: {failure}", err=True)
    if failures:
        raise typer.Exit(1)
