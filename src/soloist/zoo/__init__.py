"""The zoo: models on disk, the cards that say what they are, importers of published checkpoints.

What reads or writes weights is imported at its first use, so that listing the cards costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from soloist.lazy import lazy_names
from soloist.zoo.cards import Card, find, list_cards

if TYPE_CHECKING:
    from soloist.zoo.checkpoints import import_checkpoint
    from soloist.zoo.downloads import download
    from soloist.zoo.models import card_of, config_of, copy_model, load, remove, resolve_path, save_model

DEFAULT_MODEL = "two-stage-hpss"

__all__ = [
    "DEFAULT_MODEL",
    "Card",
    "card_of",
    "config_of",
    "copy_model",
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
    "config_of": "soloist.zoo.models",
    "copy_model": "soloist.zoo.models",
    "download": "soloist.zoo.downloads",
    "import_checkpoint": "soloist.zoo.checkpoints",
    "load": "soloist.zoo.models",
    "remove": "soloist.zoo.models",
    "resolve_path": "soloist.zoo.models",
    "save_model": "soloist.zoo.models",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
