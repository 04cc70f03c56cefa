"""Plans of ensembles and chains: what is wrong with them is found from the names of sources alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from soloist.errors import UsageError
from soloist.files import some

MIXTURE = "mixture"
"""Name of the stream that a chain begins with."""

EnsembleMethod = Literal["average", "median", "min", "max"]

METHODS: tuple[EnsembleMethod, ...] = get_args(EnsembleMethod)

MemberWeights = float | Mapping[str, float]
"""Weight of a member of an ensemble: one for all of its sources, or one for each."""

_REST = "other"
"""Source that holds everything that a separator has no other source for."""


@dataclass(frozen=True)
class EnsemblePlan:
    """Sources of an ensemble, and what each is made of.

    Attributes:
        sources: Names of the sources.
        weights: Weight of each source for each member, `[member][source]`.
        methods: Method of each source.
    """

    sources: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    methods: tuple[EnsembleMethod, ...]

    @classmethod
    def of(
        cls,
        members: Sequence[Sequence[str]],
        weights: Sequence[MemberWeights | None] | None = None,
        method: EnsembleMethod | Mapping[str, EnsembleMethod] = "average",
        sources: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> EnsemblePlan:
        """Plan an ensemble; see `Ensemble`.

        Args:
            members: Sources of each member.
            weights: Weight of each member; None for the usual one.
            method: Method of all sources, or of each.
            sources: Names of the sources; None for those of all members.
            names: Name of each member, for messages.

        Raises:
            UsageError: The weights or methods do not fit the members.
        """
        given = [None] * len(members) if weights is None else list(weights)
        if len(given) != len(members):
            raise UsageError(f"an ensemble of {len(members)} models has {len(given)} weights: give each one")
        names = names or [f"model {number}" for number in range(1, len(members) + 1)]
        known = tuple(sources or dict.fromkeys(name for member in members for name in member))
        holder = next((set(member) for member in members if _REST in member), set[str]())
        rows = tuple(
            _row(name, member, weight, known, usual=set(member) == holder)
            for name, member, weight in zip(names, members, given, strict=True)
        )
        for source, column in zip(known, zip(*rows, strict=True), strict=True):
            if not any(column):
                raise UsageError(f"no model of the ensemble has a weight for {source!r}")
        return cls(known, rows, _methods(method, known))


def _row(
    name: str, has: Sequence[str], weight: MemberWeights | None, sources: Sequence[str], *, usual: bool
) -> tuple[float, ...]:
    """Weights of a member for the sources of the ensemble."""
    if isinstance(weight, Mapping):
        for source in weight:
            if source not in has:
                raise UsageError(f"{name} has no stem {source!r} to weigh; it has {some(has)}")
        row = [float(weight.get(source, 0.0)) for source in sources]
    else:
        every = 1.0 if weight is None else float(weight)
        left_out = () if usual or weight is not None else (_REST,)
        row = [every if source in has and source not in left_out else 0.0 for source in sources]
    if not all(0 <= each < math.inf for each in row):
        raise UsageError(f"weights of {name} must be 0 or more, not {some([f'{each:g}' for each in row])}")
    return tuple(row)


def _methods(
    method: EnsembleMethod | Mapping[str, EnsembleMethod], sources: Sequence[str]
) -> tuple[EnsembleMethod, ...]:
    chosen = method if isinstance(method, Mapping) else dict.fromkeys(sources, method)
    for source, each in chosen.items():
        if source not in sources:
            raise UsageError(f"the ensemble has no stem {source!r}; it has {', '.join(sources)}")
        if each not in METHODS:
            raise UsageError(f"there is no method {each!r} of ensembles; there are {', '.join(METHODS)}")
    return tuple(chosen.get(source, "average") for source in sources)


@dataclass(frozen=True)
class PlannedStep:
    """A step of a chain.

    Attributes:
        name: Name of the model, for messages.
        sources: Sources of the model.
        takes: Stem that the model separates: the mixture, or a stem of another step.
        stems: Names that the chain gives to sources of the model; None for all, under their own.
        rest: Name of what the named stems leave of the step's input; empty for none.
    """

    name: str
    sources: tuple[str, ...]
    takes: str = MIXTURE
    stems: Mapping[str, str] | None = None
    rest: str = ""

    @property
    def named(self) -> dict[str, str]:
        """Names of the chain for sources of the model."""
        return {source: source for source in self.sources} if self.stems is None else dict(self.stems)

    @property
    def gives(self) -> tuple[str, ...]:
        """Names of the stems that the step adds to the chain."""
        return (*self.named.values(), *filter(None, [self.rest]))


@dataclass(frozen=True)
class ChainPlan:
    """Order of the steps of a chain, and its stems.

    Attributes:
        order: Places of the steps; each comes after the step whose stem it takes.
        outputs: Names of the stems.
        makers: Place of the step that makes each stem.
    """

    order: tuple[int, ...]
    outputs: tuple[str, ...]
    makers: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, steps: Sequence[PlannedStep], outputs: Sequence[str] | None = None) -> ChainPlan:
        """Plan a chain.

        Args:
            steps: The steps, in any order.
            outputs: Names of the stems of the chain; None for all that no step takes.

        Raises:
            UsageError: A step takes a stem that no step makes, or its own, or names a source that its model
                does not have; two stems have one name; or there is no such output.
        """
        if not steps:
            raise UsageError("a chain needs at least one step")
        makers = _makers(steps)
        for step in steps:
            if step.takes not in (MIXTURE, *makers):
                known = ", ".join((MIXTURE, *makers))
                raise UsageError(f"{step.name} takes {step.takes!r}, which no step makes; there are {known}")
        order = _order(steps, makers)
        taken = {step.takes for step in steps}
        chosen = tuple(name for name in makers if name not in taken) if outputs is None else tuple(outputs)
        for name in chosen:
            if name not in makers:
                raise UsageError(f"the chain has no stem {name!r} to put out; it has {', '.join(makers)}")
        if not chosen or len(set(chosen)) < len(chosen):
            raise UsageError(
                f"outputs of a chain must be distinct, at least one: {', '.join(chosen) or 'none'}"
            )
        return cls(order, chosen, makers)

    def needed(self, steps: Sequence[PlannedStep], stems: Sequence[str]) -> tuple[int, ...]:
        """Places of the steps that some stems are made by, in order."""
        places, waiting = set[int](), [self.makers[stem] for stem in stems]
        while waiting:
            place = waiting.pop()
            places.add(place)
            if steps[place].takes != MIXTURE:
                waiting.append(self.makers[steps[place].takes])
        return tuple(place for place in self.order if place in places)


def _makers(steps: Sequence[PlannedStep]) -> dict[str, int]:
    """Place of the step that makes each stem."""
    makers: dict[str, int] = {}
    for place, step in enumerate(steps):
        for source in step.named:
            if source not in step.sources:
                raise UsageError(f"{step.name} has no stem {source!r}; it has {', '.join(step.sources)}")
        if not step.gives:
            raise UsageError(f"the step of {step.name} names no stem")
        for stem in step.gives:
            if stem in makers or stem == MIXTURE:
                others = "the mixture" if stem == MIXTURE else f"a stem of {steps[makers[stem]].name}"
                raise UsageError(
                    f"{step.name} makes {stem!r}, which is the name of {others}, too: give its stems other "
                    "names, such as stems: {" + f"{stem}: {stem}2" + "}"
                )
            makers[stem] = place
    return makers


def _order(steps: Sequence[PlannedStep], makers: Mapping[str, int]) -> tuple[int, ...]:
    """Places of the steps, each after that of the step whose stem it takes."""
    order: list[int] = []
    while len(order) < len(steps):
        ready = [
            place
            for place, step in enumerate(steps)
            if place not in order and (step.takes == MIXTURE or makers[step.takes] in order)
        ]
        if not ready:
            left = [step.name for place, step in enumerate(steps) if place not in order]
            raise UsageError(f"steps of the chain wait for each other's stems: {', '.join(left)}")
        order += ready
    return tuple(order)
