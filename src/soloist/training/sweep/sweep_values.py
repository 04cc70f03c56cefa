"""Values of a sweep: the section `sweep` of a recipe, and the choices of each trial."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial

from soloist.config import check_key, check_keys, override, record
from soloist.errors import ConfigError
from soloist.training.recipe.recipe import Recipe

_RANGE = ("low", "high", "step", "log")


@dataclass(frozen=True)
class SweepConfig:
    """Section `sweep` of a recipe.

    Attributes:
        values: For each dotted key of the recipe a list of values, or a range `{low: 4, high: 16}` to draw
            from, in whole numbers if both ends are; `step` sets the distance of values, `log`
            makes every ratio equally likely.
        method: "grid" tries every combination of lists; "random" draws them; "tpe" draws more of what was
            good so far (tree-structured Parzen estimators, Bergstra et al., NIPS 2011).
        trials: Number of trials; None for all of a grid.

    Raises:
        ConfigError: There is no value, or none that the method can try.
    """

    values: dict[str, Any]
    method: Literal["grid", "random", "tpe"] = "tpe"
    trials: int | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError("sweep.values names nothing to try: write {optimizer.lr: [0.001, 0.0003]}")
        for key, tried in self.values.items():
            self._check(f"sweep.values.{key}", tried)
        if self.trials is None and self.method != "grid":
            raise ConfigError(f"sweep.trials is missing: {self.method} goes on without end")
        if self.trials is not None and self.trials < 1:
            raise ConfigError(f"sweep.trials must be at least 1, not {self.trials}")

    @classmethod
    def of(cls, recipe: Recipe) -> SweepConfig:
        """Read the section of a recipe.

        Raises:
            ConfigError: The section is missing, not valid, or names keys that the recipe does not have.
        """
        where = f"sweep of the recipe {recipe.name}"
        if not recipe.sweep:
            raise ConfigError(f"{where}: there is none; write sweep: {{values: {{optimizer.lr: [...]}}}}")
        config = record(cls, recipe.sweep, where)
        for key, tried in config.values.items():
            first = tried[0] if isinstance(tried, list) else tried["low"]
            values = recipe.to_dict()
            override(values, key, as_yaml(first))
            check_key(values, key)
        return config

    @property
    def count(self) -> int:
        """Number of trials."""
        if self.method != "grid":
            return self.trials or 0
        size = math.prod(len(tried) for tried in self.values.values())
        return min(size, self.trials or size)

    def choose(self, trial: Trial) -> dict[str, str]:
        """Choose the values of a trial, as YAML, by dotted key."""
        return {key: as_yaml(self._choose(trial, key, tried)) for key, tried in self.values.items()}

    def _choose(self, trial: Trial, key: str, tried: Any) -> Any:
        if isinstance(tried, list):
            # Optuna keeps plain values only; a list of levels is a text to it.
            return yaml.safe_load(trial.suggest_categorical(key, [as_yaml(value) for value in tried]))
        low, high, log = number(tried["low"]), number(tried["high"]), tried.get("log", False)
        step = number(tried.get("step"))
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(key, low, high, step=step or 1, log=log)
        return trial.suggest_float(key, low, high, step=step, log=log)

    def _check(self, where: str, tried: Any) -> None:
        if isinstance(tried, list) and tried:
            return
        if not isinstance(tried, dict) or not {"low", "high"} <= tried.keys():
            raise ConfigError(f"{where} must be a list, or a range such as {{low: 4, high: 16}}")
        check_keys(tried, _RANGE, where)
        if self.method == "grid":
            raise ConfigError(f"{where} must be a list: a grid has no ranges")
        low, high = number(tried["low"]), number(tried["high"])
        numbers = all(isinstance(end, (int, float)) for end in (low, high))
        if not numbers or low > high or (tried.get("log") and (low <= 0 or "step" in tried)):
            raise ConfigError(f"{where}: {tried} is no range; log wants positive ends and no step")


class GridByNumber(BaseSampler):
    """Gives each trial the combination of its number, so that no two processes try the same.

    Args:
        values: Lists of values, by key.
    """

    def __init__(self, values: Mapping[str, Sequence[Any]]) -> None:
        self._combinations = [
            dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())
        ]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return no joint search space."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return no joint values."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Give the value of a key in the combination."""
        return as_yaml(self._combinations[trial.number][param_name])


def number(value: Any) -> Any:
    """Convert a number that YAML reads as text, for its exponent without a point: 1e-3."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def as_yaml(value: Any) -> str:
    """Write a value on one line, as the command line takes it."""
    text = yaml.safe_dump(number(value), default_flow_style=True, width=math.inf)
    return text.removesuffix("...\n").strip()
