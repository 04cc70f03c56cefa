"""What has been done in an experiment's folder, with what, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soloist.files import json_text, sha256_of, write_whole
from soloist.training.recipe.recipe import Stage

Files = dict[str, str]
"""Paths below the folder, and the SHA-256 of what they hold."""


@dataclass(frozen=True)
class Inputs:
    """What a stage depends on.

    Attributes:
        recipe: The values of the recipe that matter to it, by their dotted keys.
        upstream: What the stages before it left, as far as it uses it.
    """

    recipe: Mapping[str, Any]
    upstream: Mapping[str, Files]

    def changes(self, other: Inputs) -> list[str]:
        """The keys of the recipe whose values are others there."""
        keys = dict.fromkeys((*self.recipe, *other.recipe))
        missing = object()
        return [key for key in keys if self.recipe.get(key, missing) != other.recipe.get(key, missing)]


@dataclass(frozen=True)
class Record:
    """What is known of a stage.

    Attributes:
        inputs: What it was begun with.
        outputs: What it left; None where it was not done to its end.
    """

    inputs: Inputs
    outputs: Files | None


class Ledger:
    """The records of an experiment, a file for each stage.

    Args:
        folder: The folder of the experiment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "stages"

    def read(self, stage: Stage) -> Record | None:
        """What is known of a stage; None where it was never begun, or its record is damaged."""
        try:
            values = json.loads(self._file(stage).read_text(encoding="utf-8"))
            return Record(Inputs(values["recipe"], values["upstream"]), values["outputs"])
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return None

    def begin(self, stage: Stage, inputs: Inputs) -> None:
        """Note that a stage is begun; until it is finished, it is not done."""
        self._write(stage, Record(inputs, None))

    def finish(self, stage: Stage, inputs: Inputs, outputs: Iterable[Path]) -> None:
        """Note that a stage is done, and what it left in the folder."""
        folder = self.folder.resolve()
        files = {path.resolve().relative_to(folder).as_posix(): sha256_of(path) for path in outputs}
        self._write(stage, Record(inputs, files))

    def why_not_done(self, stage: Stage, inputs: Inputs) -> str | None:
        """Why a stage is to be done with these inputs; None where it has been, and what it left is there."""
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
