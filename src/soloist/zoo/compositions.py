"""Ensembles and chains of models, as far as their cards tell; nothing is loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from soloist.errors import ModelError
from soloist.separators.composite_plans import (
    ChainPlan,
    EnsembleMethod,
    EnsemblePlan,
    MemberWeights,
    PlannedStep,
)
from soloist.zoo.cards import Card, Licence, megabytes
from soloist.zoo.model_paths import as_folder, card_at


@dataclass(frozen=True)
class CompositionCard(Card):
    """Card of an ensemble or a chain.

    Attributes:
        missing: Models that are not on disk.
    """

    missing: tuple[Card, ...] = ()

    @property
    def on_disk(self) -> bool:
        """True if all models are on disk."""
        return not self.missing


@dataclass(frozen=True)
class Composition(ABC):
    """An ensemble or a chain.

    Attributes:
        name: Name in messages and of folders.
        label: Text by which a user asked for it, or the name of its file.
        title: Purpose, in one line; empty if nobody stated it.
        parts: The models, by name or folder, or compositions.
    """

    name: str
    label: str
    title: str
    parts: tuple[str | Composition, ...]

    @property
    @abstractmethod
    def kind(self) -> str:
        """Word for it: ensemble or chain."""

    @property
    @abstractmethod
    def sources(self) -> tuple[str, ...]:
        """Names of the sources.

        Raises:
            UsageError: The models do not go together.
            ModelError: A model is unknown.
        """

    @cached_property
    def cards(self) -> tuple[Card, ...]:
        """Cards of the parts.

        Raises:
            ModelError: A model is unknown.
        """
        return tuple(card_of_part(part, self.name) for part in self.parts)

    @property
    def leaves(self) -> Iterator[str]:
        """Models, by name or folder, each once for each use."""
        for part in self.parts:
            if isinstance(part, str):
                yield part
            else:
                yield from part.leaves

    @property
    def leaf_cards(self) -> dict[str, Card]:
        """Card of each model, by its name or folder."""
        return {leaf: card_of_part(leaf, self.name) for leaf in self.leaves}

    @property
    def missing(self) -> list[Card]:
        """Models that are not on disk."""
        return [
            card for leaf, card in self.leaf_cards.items() if as_folder(leaf) is None and not card.on_disk
        ]

    def check_on_disk(self) -> None:
        """Refuse to load what is not on disk.

        Raises:
            ModelError: Names each model, its size, and the command that downloads it.
        """
        if missing := self.missing:
            named = ", ".join(f"{card.name} ({megabytes(card.size)})" for card in missing)
            ways = "; ".join(f"soloist models download {card.name}" for card in missing)
            raise ModelError(f"{self.name} needs {named}, not on disk: {ways}")

    @property
    def card(self) -> CompositionCard:
        """Facts about the whole.

        Raises:
            UsageError: The models do not go together.
            ModelError: A model is unknown.
        """
        cards, leaves = self.cards, list(self.leaf_cards.values())
        rates = [card.sample_rate for card in cards if card.sample_rate]
        channels = [card.channels for card in cards if card.channels]
        operations = [card.operations for card in leaves]
        return CompositionCard(
            missing=tuple(self.missing),
            name=self.name,
            system=type(self).__name__.removesuffix("Composition"),
            title=self.title
            or f"{type(self).__name__.removesuffix('Composition')} of {', '.join(self.leaves)}",
            sources=self.sources,
            sample_rate=max(rates, default=None),
            channels=max(channels, default=None),
            parameters=sum(card.parameters for card in leaves),
            operations=None if None in operations else sum(filter(None, operations)),
            licence=Licence(weights=_joined(card.licence.stated for card in leaves)),
        )

    @abstractmethod
    def describe(self) -> list[str]:
        """One line for each part: the model, what it takes, what it gives."""


@dataclass(frozen=True)
class EnsembleComposition(Composition):
    """Ensemble of models; see `Ensemble`.

    Attributes:
        weights: Weight of each part; None for the usual one.
        method: Method of all sources, or of each.
    """

    weights: tuple[MemberWeights | None, ...]
    method: EnsembleMethod | Mapping[str, EnsembleMethod]

    @property
    def kind(self) -> str:
        """Ensemble or chain."""
        return "Ensemble"

    @property
    def plan(self) -> EnsemblePlan:
        """Sources, weights and methods."""
        members, names = [card.sources for card in self.cards], [card.name for card in self.cards]
        return EnsemblePlan.of(members, self.weights, self.method, names=names)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources of all models."""
        return self.plan.sources

    def describe(self) -> list[str]:
        """One line for each model: its weights."""
        plan, lines = self.plan, []
        for card, row in zip(self.cards, plan.weights, strict=True):
            shares = [
                f"{source} {weight:g}" for source, weight in zip(plan.sources, row, strict=True) if weight
            ]
            lines.append(f"{card.name}: {', '.join(shares) or 'no weight'}")
        return lines


@dataclass(frozen=True)
class ChainComposition(Composition):
    """Chain of models; see `Chain`.

    Attributes:
        steps: What each part takes and gives, as the keys `takes`, `stems` and `rest` of a step.
        outputs: Names of the stems; None for all that no step takes.
    """

    steps: tuple[Mapping[str, Any], ...]
    outputs: tuple[str, ...] | None

    @property
    def kind(self) -> str:
        """Ensemble or chain."""
        return "Chain"

    @property
    def planned(self) -> list[PlannedStep]:
        """The steps, with the sources of their models."""
        pairs = zip(self.cards, self.steps, strict=True)
        return [PlannedStep(card.name, tuple(card.sources), **step) for card, step in pairs]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems that the chain puts out."""
        return ChainPlan.of(self.planned, self.outputs).outputs

    def describe(self) -> list[str]:
        """One line for each step, in their order."""
        steps = self.planned
        order = ChainPlan.of(steps, self.outputs).order
        return [
            f"{steps[place].name}: {steps[place].takes} -> {', '.join(steps[place].gives)}" for place in order
        ]


def card_of_part(part: str | Composition, whole: str) -> Card:
    """Card of a part of a composition.

    Raises:
        ModelError: The model is unknown.
    """
    if isinstance(part, Composition):
        return part.card
    try:
        return card_at(part)
    except ModelError as error:
        raise ModelError(f"{whole}: {error}") from error


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))
