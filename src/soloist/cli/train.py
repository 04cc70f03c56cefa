"""`soloist train`: a training, an experiment in stages, or a sweep, from one recipe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soloist.cli.console import PrintedTable, loading, print_table, say, warn
from soloist.cli.names import check_model, check_recipe, complete_recipe
from soloist.cli.options import (
    STAGES,
    QuietOption,
    check_overrides,
    one_name,
    parse_arguments,
    refuse_options,
    require_lightning,
)
from soloist.cli.recipe_tests import show_tests, tests_progress
from soloist.cli.runs import show_runs
from soloist.errors import Interrupted, SoloistError, UsageError
from soloist.files import expand_home

if TYPE_CHECKING:
    from soloist.training import Recipe, Stage, SweepTrial

_ALL = "all"
_LONGEST = 12.0
"""Longest training examples of a recipe that goes on from a model, s."""

_EXPERIMENT, _SWEEP = "Experiment", "Sweep"


def train(
    context: typer.Context,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE [--KEY VALUE]...",
            help="A recipe's file, or the name of a shipped one; then values in place of the recipe's.",
            autocompletion=complete_recipe,
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder to write; default: runs/RECIPE, experiments/RECIPE or sweeps/RECIPE.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Go on with the run in this folder, with its own recipe. With --sweep: finish interrupted "
            "trials of the sweep in this folder first; no other process may be at work on it.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there.")] = False,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the resolved recipe and stop.")
    ] = False,
    begin: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Go on from the weights of a model or run; without a recipe, write one for --root.",
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            help="With --from, without a recipe: folder of recordings of your own.", show_default=False
        ),
    ] = None,
    quiet: QuietOption = False,
    stages: Annotated[
        str | None,
        typer.Option(
            metavar="STAGES",
            help="Stages of an experiment to do, such as train,evaluate; all: those of the recipe, or "
            "prepare,train,evaluate,visualize,analyze.",
            show_default=False,
            rich_help_panel=_EXPERIMENT,
        ),
    ] = None,
    force: Annotated[
        str | None,
        typer.Option(
            metavar="STAGES",
            help="Stages to do again from the beginning.",
            show_default=False,
            rich_help_panel=_EXPERIMENT,
        ),
    ] = None,
    sweep: Annotated[
        bool,
        typer.Option("--sweep", help="Try the values of the recipe's section sweep.", rich_help_panel=_SWEEP),
    ] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", help="Trainings at a time.", rich_help_panel=_SWEEP)
    ] = 1,
) -> None:
    """Train a model from a recipe, test it, and keep everything in one folder.

    Any key of the recipe can be given on the command line: `--data.root PATH`, `--trainer.max_epochs 50`,
    `--separator.network.num_blocks 4`. A training that was stopped goes on with --resume as if it had not
    been.

    `soloist train tiny-sudormrf-digits --data.root free-spoken-digit-dataset`

    `soloist train --resume runs/tiny-sudormrf-digits`

    With --from it goes on from a model; without a recipe, one is written for your own folder:

    `soloist train --from spleeter-2stems --root songs`

    With --stages it is an experiment: prepare, train, evaluate, visualize, analyze, each stage once. The same
    command again does the rest, also after a kill. A recipe with a section `sweep` is trained with all of
    its values.

    `soloist train my_model.yaml --stages all --data.root corpora`

    `soloist train my_model.yaml --stages evaluate,analyze`

    With --sweep it is a search of the best values, those of the recipe's section `sweep`:

    `sweep: {method: tpe, trials: 20, values: {optimizer.lr: {low: 1e-4, high: 1e-2, log: true}}}`

    Each trial is a run of its own in the folder, and best.yaml the recipe of the best one. The same command
    again goes on; given in several terminals, or on several machines with a common disk, they share the work.

    `soloist train my_model.yaml --sweep --data.root corpora -o sweeps/rates`
    """
    names, overrides = parse_arguments(arguments or [])
    check_overrides(overrides, context)
    if root is not None and (begin is None or names):
        raise UsageError(
            "--root is for --from without a recipe: give a recipe --data.root, or write one for the folder "
            f"(soloist init NAME --root {root})"
        )
    if begin is not None and root is not None:
        names = [str(_write_recipe(begin, root, overwrite=overwrite, quiet=quiet))]
    elif begin is not None:
        overrides = [*overrides, ("from", begin)]
    experiment = stages is not None or force is not None
    _check_form(context, names, resume, output, experiment=experiment, sweep=sweep)
    chosen, again = _parse_stages(stages), _parse_stages(force)
    from soloist.training import RunFolder

    if names:
        check_recipe(names[0])
    elif resume is not None:
        RunFolder(resume).check(resume=True, overwrite=False)
    with loading(quiet=quiet):
        from soloist.training import read_recipe
        from soloist.training.recipe.recipe import check_root
    recipe = read_recipe(names[0] if names else RunFolder(resume or Path()).recipe, overrides)
    if resume is None:
        check_root(recipe)
    if print_config:
        typer.echo(recipe.to_yaml(), nl=False)
        return
    with loading(quiet=quiet):
        require_lightning()
    if experiment:
        _run_experiment(recipe, output or Path("experiments") / recipe.name, chosen, again, quiet=quiet)
    elif sweep:
        folder = resume or output or Path("sweeps") / recipe.name
        _sweep(recipe, folder, jobs=jobs, resume=resume is not None, quiet=quiet)
    else:
        folder = resume or output or Path("runs") / recipe.name
        _train(recipe, folder, resume=resume is not None, overwrite=overwrite, quiet=quiet)


def _write_recipe(model: str, root: Path, *, overwrite: bool, quiet: bool) -> Path:
    """Write a recipe that goes on from a model with the recordings of a folder, and give its path."""
    check_model(model)
    with loading(quiet=quiet):
        from soloist.training import describe_survey, write_own_recipe
        from soloist.zoo import config_of, load
    folder = expand_home(root).absolute()
    file = Path(re.sub(r"[^\w.-]+", "-", f"{Path(model).name}-{folder.name}") + ".yaml")
    if file.exists() and not overwrite:
        raise UsageError(f"there is a recipe {file} already: soloist train {file}, or add --overwrite")
    separator = load(model)
    survey = write_own_recipe(
        file,
        root,
        model=(model, config_of(model)),
        # What the model sees at once, or so much of it that a batch fits in memory.
        duration=round(min(separator.chunk_length / separator.sample_rate, _LONGEST), 4),
        overwrite=overwrite,
    )
    if not quiet:
        for line in [*describe_survey(survey), f"recipe: {file}"]:
            say(line)
    return file


def _check_form(
    context: typer.Context,
    names: Sequence[str],
    resume: Path | None,
    output: Path | None,
    *,
    experiment: bool,
    sweep: bool,
) -> None:
    """Refuse options of another form of the command."""
    if experiment and sweep:
        raise UsageError("choose one of --stages and --sweep: an experiment sweeps by its recipe's section")
    if not sweep:
        refuse_options(context, ["jobs"], "is for --sweep")
    if experiment or sweep:
        form = "--stages" if experiment else "--sweep"
        refuse_options(context, ["overwrite"], f"is not for {form}: choose another folder")
    if experiment:
        refuse_options(context, ["resume"], "is not for --stages: the same command goes on")
    one_training = resume is not None and not sweep
    if resume is not None and (output is not None or (one_training and names)):
        what = "--output" if output is not None else "a recipe"
        raise UsageError(f"--resume goes on in its own folder, with its own recipe: leave out {what}")
    if one_training:
        refuse_options(context, ["overwrite"], "and --resume exclude each other: leave out --overwrite")
    else:
        one_name(names, "recipe", "; --resume RUN goes on with a run")


def _parse_stages(text: str | None) -> list[Stage]:
    """Stages of an option; empty for those of the recipe.

    Raises:
        UsageError: There is no such stage.
    """
    from soloist.config import nearest

    if text is None or text == _ALL:
        return []
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in STAGES:
            raise UsageError(f"there is no stage {name!r}; {nearest(name, [*STAGES, _ALL])}")
    return [stage for stage in STAGES if stage in names]  # type: ignore[misc]


@contextmanager
def _said_once() -> Iterator[None]:
    """Silence errors in all but the first of several processes that train together."""
    from soloist.training import is_first_process

    try:
        yield
    except SoloistError as error:
        if is_first_process():
            raise
        raise typer.Exit(error.exit_code) from error


def _train(recipe: Recipe, folder: Path, *, resume: bool, overwrite: bool, quiet: bool) -> None:
    with loading(quiet=quiet):
        from soloist.training import RunFolder
        from soloist.training import train as run

    with _said_once(), tests_progress(quiet=quiet) as advance:
        tests = run(
            recipe,
            folder,
            resume=resume,
            overwrite=overwrite,
            quiet=quiet,
            advance=advance,
            tell=(lambda line: None) if quiet else say,
        )
    if tests is not None:
        show_tests(tests)
        typer.echo(f"model: {RunFolder(folder).model}", err=True)


def _run_experiment(
    recipe: Recipe, folder: Path, chosen: list[Stage], again: list[Stage], *, quiet: bool
) -> None:
    with loading(quiet=quiet):
        from soloist.training import Experiment, is_first_process, run_experiment

    def tell(stage: Stage, what: str) -> None:
        if not quiet:
            typer.echo(f"{stage}: {what}", err=True)

    with _said_once(), tests_progress(quiet=quiet) as advance:
        experiment = Experiment(recipe, folder, quiet=quiet, advance=advance)
        run_experiment(experiment, tell, stages=chosen, force=again)
    if not is_first_process():
        return
    if found := experiment.read_runs():
        show_runs(found)
    for failure in (failures := experiment.failures()):
        warn(failure)
    if failures:
        raise typer.Exit(1)


def _sweep(recipe: Recipe, folder: Path, *, jobs: int, resume: bool, quiet: bool) -> None:
    with loading(quiet=quiet):
        from soloist.training import sweep
        from soloist.training.sweep.trials import BEST

    try:
        trials = sweep(recipe, folder, jobs=jobs, resume=resume, quiet=quiet)
    except (Interrupted, KeyboardInterrupt) as stop:
        raise Interrupted(f"interrupted; go on with --sweep --resume {folder}") from stop
    _show_trials(trials, recipe.monitor)
    if trials and trials[0].state == "done":
        typer.echo(f"best: {folder / BEST}", err=True)
    failed = [trial for trial in trials if trial.state == "failed"]
    for trial in failed:
        warn(f"{trial.folder}: {trial.error or 'interrupted'}")
    if failed:
        raise typer.Exit(1)


def _show_trials(trials: list[SweepTrial], monitor: str) -> None:
    """Print a line for each trial, the best first."""
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
    print_table(PrintedTable(["trial", "state", monitor, *keys], rows, [monitor]))
