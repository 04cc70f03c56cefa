"""The cheapest model that knows some stems, for who wants the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from soloist.config import nearest
from soloist.errors import ModelError, UsageError
from soloist.zoo.cards import FALLBACK_MODEL, Card, megabytes, models
from soloist.zoo.published_files import is_offline
from soloist.zoo.speeds import load_speeds

_OPERATIONS = 1e-7
"""Assumed cost of a parameter, 10^9 operations for a second of audio, if nobody counted them."""


def cheapest_model(stems: Sequence[str], *, fetch: bool = True) -> Card:
    """Find the cheapest model that has some sources.

    Trained models on disk come first, then downloads (those that may be a default before the others), then
    rules and the tiny models of Soloist. Among them, the fastest one wins if all were measured; else the one
    with the fewest operations, or parameters where nobody counted operations.

    Args:
        stems: Names of the sources, at least one.
        fetch: Take a model that is not on disk, if no other has the sources.

    Raises:
        UsageError: No model has the sources.
        ModelError: None that has them is on disk, and none may be downloaded.
    """
    if not stems:
        raise UsageError("--without needs the name of a stem, such as drums")
    cards = models()
    able = [card for card in cards if set(stems) <= set(card.sources)]
    if not able:
        known = {source for card in cards for source in card.sources}
        unknown = [stem for stem in stems if stem not in known]
        if not unknown:
            raise UsageError(f"no single model knows {' and '.join(stems)}: name a chain with --chain")
        raise UsageError(f"no model knows the stem {unknown[0]!r}; {nearest(unknown[0], known)}")
    usable = [card for card in able if card.on_disk or (fetch and not is_offline())]
    if not usable:
        best = min(able, key=lambda card: (_rank(card), *_order(card)))
        size = megabytes(best.size)
        raise ModelError(f"{best.name} ({size}) is not on disk: soloist models download {best.name}")
    first = min(map(_rank, usable))
    return _cheapest([card for card in usable if _rank(card) == first])


def _rank(card: Card) -> int:
    """Order of kinds of models; rules and the tiny ones of Soloist are always there, and rarely good."""
    if card.config is not None or card.shipped:
        return 3
    return 0 if card.on_disk else 2 - bool(card.default_rank)


def _cheapest(cards: Sequence[Card]) -> Card:
    """The model that takes least time, as measured if all were; of equal ones, the better."""
    speeds = load_speeds()
    if all(card.name in speeds for card in cards):
        return max(cards, key=lambda card: speeds[card.name])
    return min(cards, key=_order)


def _order(card: Card) -> tuple[float, bool, float, str]:
    return _cost(card), card.name != FALLBACK_MODEL, card.default_rank or math.inf, card.name


def _cost(card: Card) -> float:
    # A card that states neither comes last; rules cost little.
    unknown = math.inf if card.files else 0.0
    return card.operations or _OPERATIONS * card.parameters or unknown
