"""Profiles beside the quality of their models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from soloist.profiling.measure import ProfileCase
from soloist.profiling.profile_runs import Measured, Profile
from soloist.table_files import NO_VALUE
from soloist.zoo import Quality

Costs = dict[str, float | None]

_MEASURED = (
    "GFLOP per s of audio",
    "forward (s)",
    "backward (s)",
    "memory, forward (MB)",
    "memory, training (MB)",
)


@dataclass(frozen=True)
class Rating:
    """How good models are, as somebody says who knows.

    Attributes:
        values: By the names of models, all of the same measure.
        measure: What that is, with its unit; None if it is not said.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    measure: str | None = None

    @property
    def name(self) -> str:
        """What stands above the values."""
        return self.measure or "quality"

    def cell(self, model: str) -> str:
        """A model's quality as people read it."""
        return f"{self.values[model]:.2f}" if model in self.values else NO_VALUE


@dataclass(frozen=True)
class Compared:
    """Models whose quality can be compared, and by what.

    Attributes:
        measure: What quality is, with its unit.
        material: What quality was measured on; empty where it was given.
        case: What was separated for the costs.
        models: For each its quality, its parameters and its costs.
        left_out: The names of models of which nothing comparable is known.
    """

    measure: str
    material: str
    case: str
    models: dict[str, tuple[float, int, Costs]]
    left_out: tuple[str, ...]


def compare(profiles: Sequence[Profile], given: Rating) -> Compared:
    """Set the costs of models beside their quality.

    Their cards may hold several figures. Those that most of the models have, of the same measure of the same
    target on the same data, are taken; of several such, the one that a card names first. What is given takes
    their place. The costs are those of one case, the smallest that most of the models were measured at; of
    one that was not, only the parameters are known.

    Args:
        profiles: What was measured, at least one case of one model.
        given: The quality of models, of the same measure.
    """
    measured = {profile.facts.model: profile for profile in profiles if profile.measured}
    chosen = _most_common([profile for name, profile in measured.items() if name not in given.values])
    stated = {name: _figure(profile, chosen) for name, profile in measured.items()}
    qualities = {name: given.values.get(name, figure) for name, figure in stated.items()}
    # Counter keeps the order of first sight among those that are equally common: that of their size.
    case = Counter(done.case for profile in profiles for done in profile.measured).most_common(1)[0][0]
    models = {
        name: (quality, measured[name].facts.parameters, _costs(measured[name], case))
        for name, quality in qualities.items()
        if quality is not None
    }
    dataset, measure, target = chosen or ("", given.name, "")
    measure = given.measure or measure
    left_out = tuple(name for name in measured if name not in models)
    return Compared(measure, f"{dataset}, {target}" if chosen else "", str(case), models, left_out)


def _key(figure: Quality) -> tuple[str, str, str]:
    return figure.dataset, figure.metric, figure.target


def _most_common(profiles: Sequence[Profile]) -> tuple[str, str, str] | None:
    keys = [key for profile in profiles for key in dict.fromkeys(map(_key, profile.facts.quality))]
    return Counter(keys).most_common(1)[0][0] if keys else None


def _figure(profile: Profile, key: tuple[str, str, str] | None) -> float | None:
    return next((figure.value for figure in profile.facts.quality if _key(figure) == key), None)


def _costs(profile: Profile, case: ProfileCase) -> Costs:
    done = next((done for done in profile.measured if done.case == case), None)
    costs: Costs = dict.fromkeys(_MEASURED) if done is None else _measured_costs(done)
    return {**costs, "parameters (millions)": profile.facts.parameters / 1e6}


def _measured_costs(done: Measured) -> Costs:
    separating, training = done.separating, done.training
    values = (
        None if separating.operations is None else separating.operations / 1e9,
        separating.time.median,
        None if training is None else training.backward.median,
        None if separating.memory is None else separating.memory / 1e6,
        None if training is None else training.memory / 1e6,
    )
    return dict(zip(_MEASURED, values, strict=True))
