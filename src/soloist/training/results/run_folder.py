"""Folder of a run: paths, checks before writing, and circumstances of each start."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from soloist import __version__
from soloist.config.imports import import_code, keep_code
from soloist.errors import UsageError
from soloist.files import PARTIAL, TRAINED, is_utf8, remove_leftovers, write_whole
from soloist.training.watch.metrics_file import CURVES, METRICS

if TYPE_CHECKING:
    from soloist.training.recipe.recipe import Recipe


IMPORTS = "imports"
"""Folder in a run of the files that its recipe imports."""


@dataclass(frozen=True)
class RunFolder:
    """Folder of a training: recipe, circumstances, figures, checkpoints, model and results.

    Attributes:
        path: Path of the folder.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """Recipe, with the overrides of the command line."""
        return self.path / "recipe.yaml"

    @property
    def environment(self) -> Path:
        """Time, machine, versions and command of each start."""
        return self.path / "environment.yaml"

    @property
    def metrics(self) -> Path:
        """Table of all logged figures."""
        return self.path / METRICS

    @property
    def curves(self) -> Path:
        """Picture of the curves."""
        return self.path / CURVES

    @property
    def checkpoints(self) -> Path:
        """Folder of the last and the best checkpoints."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """Model folder."""
        return self.path / TRAINED

    @property
    def results(self) -> Path:
        """Results of the test sets, as JSON; beside them a table of all examples."""
        return self.path / "results.json"

    def check(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder before anything is written to it.

        Raises:
            UsageError: There is a run already, or something else, or no run to go on with.
        """
        if not is_utf8(self.path):
            raise UsageError(
                f"{self.path} is not UTF-8, and TensorBoard opens no such folder: choose another (-o)"
            )
        there = self.recipe.is_file()
        if resume and not there:
            raise UsageError(f"there is no run in {self.path} to go on with: {self.recipe.name} is missing")
        if there and not resume and not overwrite:
            raise UsageError(
                f"there is a run in {self.path} already: go on with it (soloist train --resume {self.path}), "
                "replace it (--overwrite), or choose another folder (-o)"
            )
        if not there and self.path.exists() and (not self.path.is_dir() or self._holds_others()):
            raise UsageError(f"{self.path} holds something else than a run: choose another folder (-o)")

    def _holds_others(self) -> bool:
        """Tell whether there is more than a beginning that was killed before it wrote the recipe."""
        return any(path.name != IMPORTS and not path.match(PARTIAL) for path in self.path.iterdir())

    def begin(self, recipe: Recipe) -> None:
        """Clear the folder, and write the recipe and the circumstances."""
        for path in (self.checkpoints, self.model, self.path / "tensorboard"):
            shutil.rmtree(path, ignore_errors=True)
        for path in (
            self.environment,
            self.metrics,
            self.curves,
            self.results,
            self.results.with_suffix(".csv"),
        ):
            path.unlink(missing_ok=True)
        self.go_on(recipe)

    def go_on(self, recipe: Recipe) -> None:
        """Write the recipe, its imports and the circumstances of this start."""
        self.path.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.path, recursive=True)
        code = [import_code(name) for name in recipe.imports]
        keep_code(code, self.path / IMPORTS)
        kept = [each.module if each.path is None else f"{IMPORTS}/{each.path.name}" for each in code]
        write_whole(self.recipe, replace(recipe, imports=kept).to_yaml())
        before = yaml.safe_load(self.environment.read_text("utf-8")) if self.environment.exists() else []
        starts = [*before, describe_environment(recipe)]
        write_whole(self.environment, yaml.safe_dump(starts, sort_keys=False, allow_unicode=True))


def run_files(folder: Path) -> list[Path]:
    """Files of a run beside its model and its checkpoints."""
    return [path for path in folder.iterdir() if path.is_file()]


def describe_environment(recipe: Recipe) -> dict[str, Any]:
    """Describe versions, machine, state of the code and command."""
    packages = ("torch", "lightning", "numpy", "soundfile", "soxr")
    described: dict[str, Any] = {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "seed": recipe.seed,
        "monitor": {recipe.monitor: recipe.monitor_mode},
        "imports": [str(import_code(name)) for name in recipe.imports],
        "versions": {
            "soloist": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
        },
        "platform": platform.platform(),
        "devices": [f"{os.cpu_count()} CPU cores", *_gpus()],
    }
    return described | _git_state()


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _git_state() -> dict[str, Any]:
    """Describe the commit of the current repository, and whether files differ from it."""
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return {}
    return {"git": {"commit": commit, "dirty": bool(changes)}}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
