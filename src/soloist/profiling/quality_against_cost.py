"""Quality of models against their costs."""

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
    """Quality of models, stated by the user.

    Attributes:
        values: Values of one measure, by the names of models.
        measure: Name of the measure, with its unit; None if not stated.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    measure: str | None = None

    @property
    def name(self) -> str:
        """Heading of the values."""
        return self.measure or "quality"

    def cell(self, model: str) -> str:
        """Cell of a model's quality."""
        return f"{self.values[model]:.2f}" if model in self.values else NO_VALUE


@dataclass(frozen=True)
class Compared:
    """Models with comparable quality, and their costs.

    Attributes:
        measure: Measure of quality, with its unit.
        material: Data and target of the measure; empty for a stated quality.
        case: Case of the costs.
        models: Quality, number of parameters and costs of each model.
        left_out: Names of models without comparable quality.
    """

    measure: str
    material: str
    case: str
    models: dict[str, tuple[float, int, Costs]]
    left_out: tuple[str, ...]


def compare(profiles: Sequence[Profile], given: Rating) -> Compared:
    """Compare the quality and the costs of models.

    Quality is the figure (measure, target and data) that most of the cards have; of several such figures the
    one that a card names first. A stated quality replaces it. Costs are those of one case, the smallest that
    most of the models have; of models without that case only the parameters are known.

    Args:
        profiles: Profiles of models, with at least one case of one model.
        given: Stated quality.
    """
    measured = {profile.facts.model: profile for profile in profiles if profile.measured}
    chosen = _most_common([profile for name, profile in measured.items() if name not in given.values])
    stated = {name: _figure(profile, chosen) for name, profile in measured.items()}
    qualities = {name: given.values.get(name, figure) for name, figure in stated.items()}
    # Among equally common cases Counter keeps the order of first occurrence: that of their size.
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
