"""Stages of an experiment and their files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from soloist.errors import SoloistError, UsageError
from soloist.files import json_text, write_whole
from soloist.inspection import visualize, write_visualization
from soloist.plots import draw_curves, save_figure
from soloist.table_files import write_table
from soloist.training.data.mixers import fill_cache
from soloist.training.experiment.preparation import check_corpora
from soloist.training.loop.training_run import train
from soloist.training.recipe.recipe import Recipe, read_recipe
from soloist.training.results.finish import finish
from soloist.training.results.run_comparison import Run, find_runs, read_run, sort_runs
from soloist.training.results.run_folder import RunFolder
from soloist.training.results.testing import Advance, draw_excerpt
from soloist.training.sweep.trials import ERROR, state, sweep
from soloist.training.sweep.trials import RECIPE as SWEEP
from soloist.training.watch.metrics_file import CURVES, read_rows
from soloist.zoo import load
from soloist.zoo.cards import WEIGHTS

CORPORA = "corpora.json"
TABLE = "runs.csv"

_DRAWN = 6
"""Number of runs in the figure of curves, the best ones."""


@dataclass(frozen=True)
class Experiment:
    """Recipe, and the folder of everything made with it.

    Attributes:
        recipe: Recipe; a section `sweep` makes it many trainings.
        folder: Folder of the experiment.
        quiet: Show no progress.
        advance: Callback after each test example.
    """

    recipe: Recipe
    folder: Path
    quiet: bool = False
    advance: Advance | None = None

    @property
    def training(self) -> Path:
        """Folder of the training, or of the sweep."""
        return self.folder / ("sweep" if self.recipe.sweep else "run")

    def prepare(self) -> list[Path]:
        """Check the corpora, fill the example cache, and write a report on the corpora.

        Raises:
            SoloistError: A corpus has errors, or examples cannot be written.
        """
        reports = [report.to_dict() for report in check_corpora(self.recipe)]
        kept = fill_cache(self.recipe)
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json_text({"corpora": reports, "kept": kept}, indent=2, ensure_ascii=False)
        write_whole(self.folder / CORPORA, text + "\n")
        return [self.folder / CORPORA]

    def train(self, *, resume: bool) -> list[Path]:
        """Train the recipe, and return the weights of each model.

        Args:
            resume: Go on with the training in the folder; otherwise replace it.

        Raises:
            SoloistError: The training cannot go on, or all trials of a sweep failed.
            Interrupted: Somebody pressed Ctrl-C.
        """
        # Testing is a stage of its own.
        recipe = replace(self.recipe, data=replace(self.recipe.data, test={}), stages=[])
        begun = self.training / SWEEP if recipe.sweep else RunFolder(self.training).recipe
        resume = resume and begun.is_file()
        if not resume:
            self.clear()
        if recipe.sweep:
            self._sweep(recipe, resume=resume)
        else:
            train(recipe, self.training, resume=resume, quiet=self.quiet)
        return [run.model / WEIGHTS for run in self.trained()]

    def clear(self) -> None:
        """Delete the trained run atomically."""
        old = self.training.with_name(f".{self.training.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self.training.exists():
            self.training.rename(old)
            shutil.rmtree(old)

    def evaluate(self) -> list[Path]:
        """Test each run on the recipe's test sets, and return the files of the figures.

        Raises:
            UsageError: Nothing has been trained yet.
            SoloistError: A test set cannot be read.
        """
        files = []
        for run in self.trained():
            recipe = self._tested(read_recipe(run.recipe))
            write_whole(run.recipe, recipe.to_yaml())
            finish(recipe, run, advance=self.advance)
            files += [run.results, run.results.with_suffix(".csv")]
        return files

    def visualize(self) -> list[Path]:
        """Draw `watch.examples` test examples, separated by the best run."""
        watch, folder = self.recipe.watch, self.folder / "examples"
        shutil.rmtree(folder, ignore_errors=True)
        separator = load(self.trained()[0].model)
        files: list[Path] = []
        for number in range(watch.examples):
            excerpt = draw_excerpt(self.recipe, number, duration=watch.seconds)
            files += write_visualization(visualize(separator, excerpt), folder / str(number)).values()
        return files

    def analyze(self) -> list[Path]:
        """Compare all runs in a table (with openpyxl as a sheet, too) and curves.

        Raises:
            UsageError: Nothing has been trained yet.
        """
        self.trained()
        runs = self.read_runs()
        table, curves = self.folder / TABLE, self.folder / CURVES
        files = [table, table.with_suffix(".xlsx")] if find_spec("openpyxl") else [table]
        for path in files:
            write_table([run.to_row() for run in runs], path)
        shown = {run.name: (RunFolder(run.folder).metrics, run.monitor) for run in runs[:_DRAWN]}
        figures = {
            name: (read_rows(path)[1], monitor) for name, (path, monitor) in shown.items() if path.exists()
        }
        save_figure(draw_curves(figures), curves)
        return [*files, curves]

    def read_runs(self) -> list[Run]:
        """Read the trainings, the best first."""
        if not any(self.training.rglob(RunFolder(self.training).recipe.name)):
            return []
        runs = (read_run(name, path) for name, path in find_runs([self.training]).items())
        return sort_runs(runs, "best")

    def trained(self) -> list[RunFolder]:
        """List the finished trainings, the best first.

        Raises:
            UsageError: No training is finished.
        """
        runs = [RunFolder(run.folder) for run in self.read_runs()]
        if done := [run for run in runs if (run.model / WEIGHTS).is_file()]:
            return done
        raise UsageError(f"there is no model in {self.training} yet: the stage train makes it")

    def failures(self) -> list[str]:
        """List the errors of failed trials, a line for each."""
        errors = sorted(self.training.glob(f"*/{ERROR}"))
        return [f"{path.parent}: {path.read_text(encoding='utf-8').strip()}" for path in errors]

    def _sweep(self, recipe: Recipe, *, resume: bool) -> None:
        if resume:
            # The number of workers, or what is recorded, may have changed.
            write_whole(self.training / SWEEP, state(recipe))
        trials = sweep(recipe, self.training, resume=resume, quiet=self.quiet)
        if all(trial.state == "failed" for trial in trials):
            raise SoloistError(f"all trials of the sweep failed: {self.failures()[0]}")

    def _tested(self, recipe: Recipe) -> Recipe:
        """Recipe of a run, with the tests and the card of this experiment's recipe."""
        data = self.recipe.data
        tested = replace(recipe.data, test=data.test, test_examples=data.test_examples)
        return replace(recipe, data=tested, card=self.recipe.card)
