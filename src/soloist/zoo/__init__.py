"""The zoo: models on disk, the cards that say what they are, importers of published checkpoints.

What reads or writes weights is imported at its first use, so that listing the cards costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from soloist.resources.extras import lazy_names
from soloist.zoo.cards import Card, find, list_cards

if TYPE_CHECKING:
    from soloist.zoo.downloads import download
    from soloist.zoo.model_folder import (
        card_of,
        config_of,
        copy_model,
        load,
        remove,
        resolve_path,
        save_model,
    )
    from soloist.zoo.published_checkpoints import import_checkpoint

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
    "card_of": "soloist.zoo.model_folder",
    "config_of": "soloist.zoo.model_folder",
    "copy_model": "soloist.zoo.model_folder",
    "download": "soloist.zoo.downloads",
    "import_checkpoint": "soloist.zoo.published_checkpoints",
    "load": "soloist.zoo.model_folder",
    "remove": "soloist.zoo.model_folder",
    "resolve_path": "soloist.zoo.model_folder",
    "save_model": "soloist.zoo.model_folder",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
