"""Ledger of an experiment: inputs and outputs of each stage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soloist.config import full_path, with_full_paths
from soloist.errors import ConfigError
from soloist.files import json_text, sha256_of, write_whole
from soloist.training.recipe.recipe import Stage

Files = dict[str, str]
"""Paths below the folder, and the SHA-256 of the files."""


@dataclass(frozen=True)
class Inputs:
    """Inputs of a stage.

    Attributes:
        recipe: Values of the recipe that matter to the stage, by dotted key.
        upstream: Files of earlier stages that the stage uses, by stage.
    """

    recipe: Mapping[str, Any]
    upstream: Mapping[str, Files]

    def changes(self, other: Inputs) -> list[str]:
        """List the keys of the recipe whose values differ."""
        keys = dict.fromkeys((*self.recipe, *other.recipe))
        return [key for key in keys if _stated(self.recipe, key) != _stated(other.recipe, key)]


@dataclass(frozen=True)
class Record:
    """Record of a stage.

    Attributes:
        inputs: Inputs at its beginning.
        outputs: Files that it wrote; None for an interrupted stage.
    """

    inputs: Inputs
    outputs: Files | None


class Ledger:
    """Records of an experiment, a file for each stage.

    Args:
        folder: Folder of the experiment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "stages"

    def read(self, stage: Stage) -> Record | None:
        """Read the record of a stage; None without one, or if the record is damaged."""
        try:
            values = json.loads(self._file(stage).read_text(encoding="utf-8"))
            return Record(Inputs(_up_to_date(values["recipe"]), values["upstream"]), values["outputs"])
        except (FileNotFoundError, ValueError, LookupError, TypeError, ConfigError):
            return None

    def begin(self, stage: Stage, inputs: Inputs) -> None:
        """Record the beginning of a stage."""
        self._write(stage, Record(inputs, None))

    def finish(self, stage: Stage, inputs: Inputs, outputs: Iterable[Path]) -> None:
        """Record the end of a stage and the files that it wrote."""
        folder = self.folder.resolve()
        files = {path.resolve().relative_to(folder).as_posix(): sha256_of(path) for path in outputs}
        self._write(stage, Record(inputs, files))

    def why_not_done(self, stage: Stage, inputs: Inputs) -> str | None:
        """Explain why a stage is due with these inputs; None if it is done and its files are unchanged."""
        record = self.read(stage)
        if record is None:
            return "not done yet"
        if changed := record.inputs.changes(inputs):
            others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            return f"{changed[0]}{others} changed"
        if record.outputs is None:
            return "was interrupted"
        for name, files in inputs.upstream.items():
            if record.inputs.upstream.get(name) != files:
                return f"what {name} left changed"
        for name, digest in record.outputs.items():
            path = self.folder / name
            if not path.is_file() or sha256_of(path) != digest:
                return f"{name} {'changed' if path.exists() else 'is missing'}"
        return None

    def _file(self, stage: Stage) -> Path:
        return self.path / f"{stage}.json"

    def _write(self, stage: Stage, record: Record) -> None:
        values = {
            "recipe": record.inputs.recipe,
            "upstream": record.inputs.upstream,
            "outputs": record.outputs,
        }
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self._file(stage), json_text(values, indent=1, ensure_ascii=False) + "\n")


def _up_to_date(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Bring class paths of an earlier version up to date, so that they compare with those of today."""
    where = "the ledger of the experiment"
    return {
        key: full_path(str(value), where) if key.endswith("class_path") else with_full_paths(value, where)
        for key, value in recipe.items()
    }


def _stated(recipe: Mapping[str, Any], key: str) -> Any:
    """Value of a key; None if empty or missing: an earlier version may have known fewer keys."""
    value = recipe.get(key)
    return None if value in ({}, []) else value
