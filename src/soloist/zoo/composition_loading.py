"""Ensembles and chains as separators, with the weights of all models in memory or of one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from soloist.config import configuration_of
from soloist.errors import UsageError
from soloist.resources import available_memory, resident_memory
from soloist.separators import (
    Chain,
    ChainStep,
    CombinedSeparator,
    CompositeSeparator,
    Ensemble,
    Separator,
)
from soloist.separators.composite_separator import StoredPart, model_hash
from soloist.zoo.compositions import ChainComposition, Composition, EnsembleComposition

_WEIGHT = 4 / 1e6
"""Megabytes of a trained parameter."""

_COPIES = 2
"""Copies of the weights: as loaded, and as an engine runs them."""

_SHARE = 0.5
"""Part of the free memory that the weights of all models may take together."""


def load_composition(
    composition: Composition,
    load: Callable[..., Separator],
    overrides: dict[str, Any],
    *,
    together: bool | None = None,
) -> Separator:
    """Load the models of an ensemble or a chain.

    Models of any rate get the highest rate of the others, and channels likewise.

    Args:
        composition: The ensemble or chain.
        load: Loads a model by its name or folder, with arguments that replace those of its configuration.
        overrides: Rate and channels, if all models take any.
        together: Keep the weights of all models in memory, or those of one at a time; None for the former if
            they take half of the free memory at most.

    Raises:
        ModelError: A model is unknown, damaged or not on disk.
        UsageError: The models do not go together, or an override was given for models of fixed rates.
    """
    card = composition.card
    composition.check_on_disk()
    fixed = {"sample_rate": card.sample_rate, "channels": card.channels}
    if overrides and card.sample_rate is not None:
        names = ", ".join(overrides)
        raise UsageError(f"{composition.name} has models of fixed rates: {names} cannot be changed")
    if together is None:
        free = available_memory() - resident_memory()
        together = _COPIES * _WEIGHT * card.parameters <= _SHARE * free
    loaders = []
    for part, part_card in zip(composition.parts, composition.cards, strict=True):
        free_rate = {key: value for key, value in fixed.items() if value} or overrides
        arguments = free_rate if part_card.sample_rate is None else {}
        loaders.append(
            partial(load, part, **arguments)
            if isinstance(part, str)
            else partial(load_composition, part, load, arguments, together=together)
        )
    return _assemble(composition, loaders, together=together)


def _assemble(
    composition: Composition, loaders: Sequence[Callable[[], Separator]], *, together: bool
) -> CompositeSeparator:
    parts, stored = list[Separator](), dict[int, StoredPart]()
    for place, load in enumerate(loaders):
        part = load()
        if not together and any(True for _ in part.parameters()):
            stored[place] = StoredPart(load, model_hash(part))
            part.to("meta")
        parts.append(part)
    separator = _build(composition, parts)
    separator.stored = stored
    return separator


def _build(composition: Composition, parts: list[Separator]) -> CompositeSeparator:
    if isinstance(composition, EnsembleComposition):
        return Ensemble(parts, composition.weights, composition.method)
    assert isinstance(composition, ChainComposition)
    steps = [ChainStep(part, **step) for part, step in zip(parts, composition.steps, strict=True)]
    return Chain(steps, composition.outputs)


def composition_config(
    composition: Composition, config_of: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    """Configuration of an ensemble as one network; see `Ensemble.fused`.

    Args:
        composition: The ensemble.
        config_of: Configuration of a model by its name or folder.

    Raises:
        UsageError: A chain, or an ensemble of such, has no such configuration.
    """
    parts = [part for part in composition.parts if isinstance(part, str)]
    if not isinstance(composition, EnsembleComposition) or len(parts) < len(composition.parts):
        models = ", ".join(dict.fromkeys(composition.leaves))
        raise UsageError(f"{composition.name} is no single network: take its models one by one: {models}")
    return configuration_of(
        CombinedSeparator,
        members=[config_of(part) for part in parts],
        weights=[list(row) for row in composition.plan.weights],
        sources=list(composition.sources),
    )
