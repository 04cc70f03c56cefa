"""Reference vectors: stored calls of published programs, with configuration, weights, inputs and outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.testing import assert_close

import replays

FIXTURES = Path(__file__).parent / "fixtures"
"""Folder of the vectors that are small enough for the repository."""


class ReferenceVector:
    """One stored call.

    Attributes:
        config: Configuration of the call.
        arrays: Everything else, by its name in the file.
        state: Weights, under the original's names.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
        self.config: dict[str, Any] = json.loads(str(arrays.pop("config")))
        self.arrays = {name: torch.from_numpy(value) for name, value in arrays.items()}
        # Graphs are weights, too.
        graphs = {name: value for name, value in self.arrays.items() if name.partition("/")[0] == "onnx"}
        self.state = {**self.named("state"), **graphs}

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    def named(self, group: str) -> dict[str, Tensor]:
        """Arrays of a group, by the rest of their names."""
        prefix = f"{group}/"
        return {
            name.removeprefix(prefix): value for name, value in self.arrays.items() if name.startswith(prefix)
        }

    def listed(self, group: str) -> list[Tensor]:
        """Arrays of a group, in the order of their numbers."""
        values = self.named(group)
        return [values[str(index)] for index in range(len(values))]

    def run(self, *inputs: Any, **options: Any) -> Any:
        """Replay the call; without inputs on the stored ones."""
        return replays.from_reference(self.config, self.state)(*(inputs or (self._input,)), **options)

    @property
    def _input(self) -> Any:
        if "input" in self.arrays:
            return self["input"]
        named = self.named("input")
        return self.listed("input") if all(name.isdigit() for name in named) else named


def assert_near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Compare within a part of the peak of the expected values."""
    assert_close(found, expected, rtol=0, atol=tolerance * expected.abs().max().item())
