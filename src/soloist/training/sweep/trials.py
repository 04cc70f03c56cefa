"""Trials of a sweep: one recipe trained with other values, to find the best ones.

Optuna chooses the values and keeps the results in a file, which any number of processes may share.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from soloist.config import override
from soloist.errors import Interrupted, SoloistError, TrainingError, UsageError
from soloist.files import write_whole
from soloist.mixing import Mixer
from soloist.resources import Processes, make_sampler, open_study
from soloist.training.loop.training_run import train
from soloist.training.recipe.recipe import Recipe, read_recipe
from soloist.training.results.run_comparison import read_run
from soloist.training.results.run_folder import RunFolder
from soloist.training.sweep.sweep_values import GridByNumber, SweepConfig

STORAGE = "sweep.db"
RECIPE = "sweep.yaml"
BEST = "best.yaml"
ERROR = "error.txt"

State = Literal["done", "failed", "running"]

_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "done",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
_VALUES = "values"


@dataclass(frozen=True)
class SweepTrial:
    """One training of a sweep.

    Attributes:
        folder: Folder of the run.
        values: Tried values, as YAML, by dotted key.
        state: State of the trial.
        figure: Best value of the monitored figure; None without one.
        error: Message of a failed trial.
    """

    folder: Path
    values: Mapping[str, str]
    state: State
    figure: float | None
    error: str | None


def sweep(
    recipe: Recipe, folder: Path, *, jobs: int = 1, resume: bool = False, quiet: bool = False
) -> list[SweepTrial]:
    """Train a recipe with the values that its section `sweep` names, each in a run of its own.

    A sweep in the folder goes on; other processes may work on it. `best.yaml` holds the recipe with the best
    values.

    Args:
        recipe: Recipe with a section `sweep`.
        folder: Folder of the sweep.
        jobs: Number of trainings at a time.
        resume: Finish interrupted trials first; no other process may work on the sweep then.
        quiet: Show no progress.

    Returns:
        All trials of the sweep, the best first.

    Raises:
        UsageError: The recipe has no values to try, the folder holds something else, or a corpus is missing.
        Interrupted: The user pressed Ctrl-C.
    """
    if jobs < 1:
        raise UsageError(f"jobs must be at least 1, not {jobs}")
    config = SweepConfig.of(recipe)
    recipe.build(recipe.data.train, Mixer)
    _claim(recipe, folder, resume=resume)
    work = _Work(recipe, config, folder, quiet=quiet or jobs > 1)
    if resume:
        work.finish_interrupted()
    if jobs == 1:
        work.go_on()
    else:
        _share(recipe, folder, jobs)
    trials = work.trials()
    if trials and trials[0].state == "done":
        best = Recipe.parse(_values_of(recipe, trials[0].values), BEST)
        write_whole(folder / BEST, best.to_yaml())
    return trials


class _Work:
    """Work of one process on a sweep.

    Args:
        recipe: Recipe to train.
        config: Values to try.
        folder: Folder of the sweep.
        quiet: Show no progress.
        job: Index of the process among those started together.
    """

    def __init__(
        self, recipe: Recipe, config: SweepConfig, folder: Path, *, quiet: bool, job: int = 0
    ) -> None:
        self.recipe = recipe
        self.config = config
        self.folder = folder
        self.quiet = quiet
        self.study = _open_study(recipe, config, folder, job)

    def go_on(self) -> None:
        """Train with other values until the sweep has all its trials."""
        while len(self.study.get_trials(deepcopy=False)) < self.config.count:
            trial = self.study.ask()
            if trial.number >= self.config.count:
                # Another process was faster.
                self.study.tell(trial, state=TrialState.PRUNED)
                return
            values = self.config.choose(trial)
            trial.set_user_attr(_VALUES, values)
            self._train(trial.number, values)

    def finish_interrupted(self) -> None:
        """Finish the trials that another process left unfinished."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if (values := trial.user_attrs.get(_VALUES)) is None:
                self.study.tell(trial.number, state=TrialState.FAIL)
            else:
                self._train(trial.number, values)

    def trials(self) -> list[SweepTrial]:
        """List all trials, the best first, those without a figure last."""
        minimize = self.recipe.monitor_mode == "min"
        known = [self._describe(trial) for trial in self.study.get_trials() if trial.state in _STATES]
        done = [trial for trial in known if trial.figure is not None]
        done.sort(key=lambda trial: trial.figure or 0.0, reverse=not minimize)
        return [*done, *(trial for trial in known if trial.figure is None)]

    def _train(self, number: int, values: Mapping[str, str]) -> None:
        """Train with some values and tell the study the figure.

        A failure is recorded and does not stop the sweep: other values may do.
        """
        folder = self._folder(number)
        try:
            recipe = Recipe.parse(_values_of(self.recipe, values), f"trial {number}")
            train(recipe, folder, resume=RunFolder(folder).recipe.is_file(), quiet=self.quiet)
            figure = read_run(folder.name, folder).best
            if figure is None:
                raise TrainingError(f"{folder} has no {recipe.monitor}")
        except Interrupted:
            raise
        except SoloistError as error:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / ERROR, f"{error}\n")
            self.study.tell(number, state=TrialState.FAIL)
        else:
            self.study.tell(number, figure)

    def _describe(self, trial: FrozenTrial) -> SweepTrial:
        folder = self._folder(trial.number)
        failed = trial.state is TrialState.FAIL and (folder / ERROR).is_file()
        return SweepTrial(
            folder,
            trial.user_attrs.get(_VALUES, {}),
            _STATES[trial.state],
            trial.value if trial.state is TrialState.COMPLETE else None,
            (folder / ERROR).read_text(encoding="utf-8").strip() if failed else None,
        )

    def _folder(self, number: int) -> Path:
        return self.folder / f"trial-{number:03}"


def state(recipe: Recipe) -> str:
    """Contents of `sweep.yaml`: the recipe without the number of trials, which may grow later."""
    return replace(recipe, sweep={**recipe.sweep, "trials": None}).to_yaml()


def _claim(recipe: Recipe, folder: Path, *, resume: bool) -> None:
    """Begin a sweep in a folder, or check that the sweep in it tries the same.

    Raises:
        UsageError: The folder holds something else, or the sweep of another recipe.
    """
    stated = folder / RECIPE
    text = state(recipe)
    if stated.is_file():
        # Values are compared, because an earlier version may have written other class paths and fewer keys.
        if yaml.safe_load(state(read_recipe(stated))) != yaml.safe_load(text):
            raise UsageError(f"{folder} holds the sweep of another recipe: choose another folder (-o)")
    elif resume:
        raise UsageError(f"there is no sweep in {folder} to go on with: {RECIPE} is missing")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds something else than a sweep: choose another folder (-o)")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(stated, text)


def _open_study(recipe: Recipe, config: SweepConfig, folder: Path, job: int) -> Study:
    """Open the study in a sweep's folder."""
    study = open_study(folder / STORAGE, recipe.name, maximize=recipe.monitor_mode == "max")
    place = [len(study.get_trials(deepcopy=False)), job]
    study.sampler = (
        GridByNumber(config.values)
        if config.method == "grid"
        else make_sampler(config.method, recipe.seed, place)
    )
    return study


def _share(recipe: Recipe, folder: Path, jobs: int) -> None:
    """Share a sweep among several processes of this machine."""
    with Processes(jobs) as pool:
        works = [pool.submit(_go_on, recipe.to_dict(), folder, job, jobs) for job in range(jobs)]
        for work in works:
            work.result()


def _go_on(values: dict[str, Any], folder: Path, job: int, jobs: int) -> None:
    """Work in one of several processes, with a share of the processor."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))
    recipe = Recipe.parse(values, str(folder / RECIPE))
    _Work(recipe, SweepConfig.of(recipe), folder, quiet=True, job=job).go_on()


def _values_of(recipe: Recipe, chosen: Mapping[str, str]) -> dict[str, Any]:
    """Keys and values of a recipe with the values of a trial, and without a sweep."""
    values = {**recipe.to_dict(), "sweep": {}}
    for key, text in chosen.items():
        override(values, key, text)
    return values
