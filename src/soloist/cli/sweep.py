"""`soloist sweep`: the best values of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soloist.cli.overrides import check_overrides, parse_arguments
from soloist.cli.runs import print_table
from soloist.cli.train import require_lightning
from soloist.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from soloist.training import SweepTrial


def sweep(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE [--KEY VALUE]...",
            help="A recipe with a section `sweep`; then values in place of the recipe's.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder of the sweep; default: sweeps/RECIPE.", show_default=False
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Trainings at a time.")] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Finish interrupted trials first; no other process may be at work on the sweep."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the table, and errors.")] = False,
) -> None:
    """Train a recipe with other values again and again, and keep the best.

    The section `sweep` of the recipe says what is tried:

    `sweep: {method: tpe, trials: 20, values: {optimizer.lr: {low: 1e-4, high: 1e-2, log: true}}}`

    Each trial is a run of its own in the folder, and best.yaml the recipe of the best one. The same command
    again goes on; given in several terminals, or on several machines with a common disk, they share the work.

    `soloist sweep my_model.yaml --data.root corpora -o sweeps/rates`
    """
    from soloist.training import read_recipe

    names, overrides = parse_arguments(arguments)
    check_overrides(overrides, sweep)
    if len(names) != 1:
        raise UsageError(f"name one recipe, not {' '.join(names) or 'none'}")
    recipe = read_recipe(names[0], overrides)
    require_lightning()
    from soloist.training import sweep as run
    from soloist.training.sweep.trials import BEST

    folder = output or Path("sweeps") / recipe.name
    try:
        trials = run(recipe, folder, jobs=jobs, resume=resume, quiet=quiet)
    except (Interrupted, KeyboardInterrupt) as stop:
        raise Interrupted("interrupted; the same command with --resume goes on") from stop
    _show(trials, recipe.monitor)
    if trials and trials[0].state == "done":
        typer.echo(f"best: {folder / BEST}", err=True)
    failed = [trial for trial in trials if trial.state == "failed"]
    for trial in failed:
        typer.echo(f"soloist: {trial.folder}: {trial.error or 'interrupted'}", err=True)
    if failed:
        raise typer.Exit(1)


def _show(trials: list[SweepTrial], monitor: str) -> None:
    """A line for each trial, the best first."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.values))
    rows = [
        [
            trial.folder.name,
            trial.state,
            "" if trial.figure is None else f"{trial.figure:.4g}",
            *(trial.values.get(key, "") for key in keys),
        ]
        for trial in trials
    ]
    print_table(["trial", "state", monitor, *keys], rows)
