"""Comparison of runs: progress, quality, and differences of their recipes."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from soloist.config import nearest, read_yaml, with_full_paths
from soloist.errors import ConfigError, UsageError, one_line
from soloist.training.results.run_folder import RunFolder
from soloist.training.watch.metrics_file import ELAPSED, EPOCH_LOSS, STEP, Row, mode_of, read_rows
from soloist.zoo.cards import CARD

ALIVE = 600.0
"""Seconds since the last figure after which an unfinished run counts as interrupted."""

State = Literal["running", "finished", "interrupted"]


@dataclass(frozen=True)
class Run:
    """One training, as its folder describes it; unknown values are None or empty.

    Attributes:
        name: Path of its folder, without the part that all compared runs share.
        folder: Folder of the run.
        recipe: Keys and values of its recipe.
        state: "running" if unfinished and with figures of the last ten minutes.
        epochs: Number of complete epochs.
        steps: Number of steps up to the last figure.
        monitor: Name of the monitored figure.
        lower_is_better: True if the monitored figure is best when low.
        best: Best value of the monitored figure.
        tests: Mean of each measure over all sources, dB, by test set.
        parameters: Number of the separator's parameters.
        seconds: Time of training.
        started: Time of the first start; ISO 8601.
    """

    name: str
    folder: Path
    recipe: Mapping[str, Any] = field(repr=False)
    state: State
    epochs: int
    steps: int
    monitor: str
    lower_is_better: bool
    best: float | None
    tests: Mapping[str, Mapping[str, float | None]]
    parameters: int | None
    seconds: float | None
    started: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values of everything but the recipe's details."""
        values = {**vars(self), "folder": str(self.folder), "recipe": self.recipe.get("name")}
        return values

    def to_row(self) -> dict[str, Any]:
        """`to_dict` with a column for each figure of the test sets: `test/<set>/<measure>`."""
        row = self.to_dict()
        tests = row.pop("tests")
        figures = {
            f"test/{name}/{measure}": value for name, test in tests.items() for measure, value in test.items()
        }
        return {**row, **figures}


def find_runs(folders: Sequence[Path]) -> dict[str, Path]:
    """Find all runs at or below some folders, by the parts of their paths that differ.

    Raises:
        UsageError: There is no such folder, or no run in it.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}: give the folder of a run, or of several")
        recipe = RunFolder(folder).recipe.name
        runs = [path.parent for path in sorted(folder.resolve().rglob(recipe))]
        if not runs:
            raise UsageError(f"there are no runs below {folder}: a run is a folder with a {recipe}")
        found |= dict.fromkeys(runs)
    shared = os.path.commonpath([run.parent for run in found])
    return {run.relative_to(shared).as_posix(): run for run in found}


def read_run(name: str, folder: Path) -> Run:
    """Read the folder of a run.

    Raises:
        ConfigError: A file is damaged.
        TrainingError: `metrics.csv` is damaged.
    """
    files = RunFolder(folder)
    recipe = with_full_paths(read_yaml(files.recipe), str(files.recipe))
    rows = read_rows(files.metrics)[1] if files.metrics.exists() else []
    results = _read_results(files.results)
    state = _state(files, rows, results)
    if state != "finished":
        results = {}  # of an earlier end, after which it went on
    card = read_yaml(files.model / CARD) if (files.model / CARD).exists() else {}
    monitor = str(recipe.get("monitor", ""))
    elapsed = _numbers(rows, ELAPSED)
    starts = _starts(files.environment)
    lower = _lower_is_better(monitor, starts)
    return Run(
        name=name,
        folder=folder,
        recipe=recipe,
        state=state,
        epochs=results.get("epochs", len(_numbers(rows, EPOCH_LOSS))),
        steps=results.get("steps", int(rows[-1][STEP]) + 1 if rows else 0),
        monitor=monitor,
        lower_is_better=lower,
        best=(min if lower else max)(_numbers(rows, monitor), default=None),
        tests=_test_figures(results),
        parameters=card.get("parameters"),
        seconds=results.get("seconds", elapsed[-1] if elapsed else None),
        started=str(starts[0]["started"]) if starts else None,
    )


def sort_runs(runs: Iterable[Run], key: str) -> list[Run]:
    """Sort runs by a column of `Run.to_row`: figures with the best first, others ascending; unknown last.

    Raises:
        UsageError: There is no such column.
    """
    runs = list(runs)
    columns = {name for run in runs for name in run.to_row()}
    if key not in columns:
        raise UsageError(f"cannot sort by {key!r}; {nearest(key, columns)}")
    known = [run for run in runs if run.to_row().get(key) is not None]
    high_first = key.startswith("test/") or (key == "best" and not (known and known[0].lower_is_better))
    known.sort(key=lambda run: run.to_row()[key], reverse=high_first)
    return [*known, *(run for run in runs if run not in known)]


def compare_recipes(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """List the keys in which recipes of runs differ, as `soloist train` takes them, and each run's value.

    Raises:
        UsageError: There are fewer than two runs.
    """
    if len(runs) < 2:
        raise UsageError("differences are between at least two runs")
    recipes = [flatten(run.recipe) for run in runs]
    keys = dict.fromkeys(key for recipe in recipes for key in recipe)
    table = {key: [recipe.get(key) for recipe in recipes] for key in keys}
    return {key: values for key, values in table.items() if any(value != values[0] for value in values)}


def _state(files: RunFolder, rows: Sequence[Row], results: Mapping[str, Any]) -> State:
    # A run that was finished may be going on: it has logged steps since.
    if results and (not rows or int(rows[-1][STEP]) < results.get("steps", 0)):
        return "finished"
    written = (files.metrics, files.environment, files.recipe)
    latest = max(path.stat().st_mtime for path in written if path.exists())
    return "running" if time.time() - latest < ALIVE else "interrupted"


def _read_results(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON: {one_line(error)}") from error
    if not isinstance(results, dict):
        raise ConfigError(f"{path} must hold a mapping of names to values")
    return results


def _test_figures(results: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    return {
        name: {measure: figure["mean"] for measure, figure in test["targets"].get("all", {}).items()}
        for name, test in results.get("tests", {}).items()
    }


def _starts(path: Path) -> list[dict[str, Any]]:
    """Read the circumstances of each start; a run that was resumed has several."""
    if not path.exists():
        return []
    try:
        starts = yaml.safe_load(path.read_text(encoding="utf-8"))
        _ = [start["started"] for start in starts]
        return list(starts)
    except (yaml.YAMLError, LookupError, TypeError) as error:
        raise ConfigError(f"{path} is not a list of starts: {one_line(error)}") from error


def _lower_is_better(monitor: str, starts: Sequence[Mapping[str, Any]]) -> bool:
    """Direction of a figure as the last start knew it: its class may be a file's, which is not run here."""
    known = starts[-1].get("monitor", {}) if starts else {}
    return bool(known.get(monitor, mode_of(monitor)) == "min")


def _numbers(rows: Iterable[Row], column: str) -> list[float]:
    numbers = [float(row[column]) for row in rows if row.get(column)]
    return [number for number in numbers if math.isfinite(number)]


def flatten(value: Any, key: str = "") -> dict[str, Any]:
    """Flatten a recipe to dotted keys, as `soloist train` takes them without `init_args`."""
    if not isinstance(value, Mapping) or not value:
        return {key: value}
    flat: dict[str, Any] = {}
    for name, part in value.items():
        flat |= flatten(part, key if name == "init_args" else f"{key}.{name}".lstrip("."))
    return flat
