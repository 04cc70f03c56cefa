"""Profiles beside the quality of their models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from soloist.profiling.runner import Measured, Profile
from soloist.zoo.cards import Quality

Costs = dict[str, float | None]


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


def compare(profiles: Sequence[Profile], given: Mapping[str, float]) -> Compared:
    """Set the costs of models beside their quality.

    Their cards may hold several figures. Those that most of the models have, of the same measure of the same
    target on the same data, are taken; of several such, the one that a card names first. What is given takes
    their place. The costs are those of the smallest case of all.

    Args:
        profiles: What was measured.
        given: The quality of models by name, of the same measure.
    """
    measured = {profile.facts.model: profile for profile in profiles if profile.measured}
    chosen = _most_common([profile for name, profile in measured.items() if name not in given])
    stated = {name: _figure(profile, chosen) for name, profile in measured.items()}
    qualities = {name: given.get(name, figure) for name, figure in stated.items()}
    models = {
        name: (quality, measured[name].facts.parameters, _costs(measured[name]))
        for name, quality in qualities.items()
        if quality is not None
    }
    first = next(iter(measured.values())).measured[0].case if measured else ""
    dataset, measure, target = chosen or ("", "quality", "")
    left_out = tuple(name for name in measured if name not in models)
    return Compared(measure, f"{dataset}, {target}" if chosen else "", str(first), models, left_out)


def _key(figure: Quality) -> tuple[str, str, str]:
    return figure.dataset, figure.metric, figure.target


def _most_common(profiles: Sequence[Profile]) -> tuple[str, str, str] | None:
    keys = [key for profile in profiles for key in dict.fromkeys(map(_key, profile.facts.quality))]
    # Counter keeps the order of first sight among those that are equally common.
    return Counter(keys).most_common(1)[0][0] if keys else None


def _figure(profile: Profile, key: tuple[str, str, str] | None) -> float | None:
    return next((figure.value for figure in profile.facts.quality if _key(figure) == key), None)


def _costs(profile: Profile) -> Costs:
    first: Measured = profile.measured[0]
    separating, training = first.separating, first.training
    return {
        "GFLOP for a second of audio": separating.operations and separating.operations / 1e9,
        "forward (s)": separating.time.median,
        "backward (s)": None if training is None else training.backward.median,
        "memory, forward (MB)": None if separating.memory is None else separating.memory / 1e6,
        "memory, training (MB)": None if training is None else training.memory / 1e6,
        "parameters": float(profile.facts.parameters),
    }
