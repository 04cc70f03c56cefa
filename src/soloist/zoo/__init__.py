"""The zoo: models on disk, the cards that say what they are, importers of published checkpoints.

What reads or writes weights is imported at its first use, so that listing the cards costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from soloist.zoo.cards import Card, find, list_cards

if TYPE_CHECKING:
    from soloist.zoo.checkpoints import import_checkpoint
    from soloist.zoo.downloads import download
    from soloist.zoo.models import card_of, load, remove, resolve_path, save_model

DEFAULT_MODEL = "two-stage-hpss"

__all__ = [
    "DEFAULT_MODEL",
    "Card",
    "card_of",
    "download",
    "find",
    "import_checkpoint",
    "list_cards",
    "load",
    "remove",
    "resolve_path",
    "save_model",
]

_HOMES = {
    "card_of": "soloist.zoo.models",
    "download": "soloist.zoo.downloads",
    "import_checkpoint": "soloist.zoo.checkpoints",
    "load": "soloist.zoo.models",
    "remove": "soloist.zoo.models",
    "resolve_path": "soloist.zoo.models",
    "save_model": "soloist.zoo.models",
}


def __getattr__(name: str) -> object:
    """Import a public name of the zoo at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what the zoo offers, imported yet or not."""
    return sorted({*globals(), *__all__})
