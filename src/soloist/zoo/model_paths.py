"""Models by name or by folder, found without loading them."""

from __future__ import annotations

from pathlib import Path

from soloist.errors import ModelError
from soloist.files import TRAINED, expand_home
from soloist.zoo.cards import CARD, Card, find, is_known
from soloist.zoo.published_files import HUGGING_FACE, is_name


def as_folder(name_or_path: str | Path) -> Path | None:
    """Return the model folder of a path or an address (`hf://user/model`); None for the name of a model.

    A known name wins over a folder of that name in the working folder, to which stems are often written. The
    folder of a training stands for the model in it.

    Raises:
        ModelError: There is no such folder, or it cannot be had from Hugging Face.
    """
    if isinstance(name_or_path, str) and name_or_path.startswith(HUGGING_FACE):
        from soloist.zoo.hub import hub_folder

        return hub_folder(name_or_path)
    path = expand_home(name_or_path)
    if isinstance(name_or_path, str) and (
        is_known(name_or_path) or (is_name(name_or_path) and not path.exists())
    ):
        return None
    if path.is_file():
        raise ModelError(
            f"{path} is a file, not a model folder; import it first: soloist models import {path}"
        )
    if not path.is_dir():
        raise ModelError(f"there is no model folder {path}")
    trained = path / TRAINED
    return trained if (trained / CARD).is_file() and not (path / CARD).is_file() else path


def card_at(name_or_path: str | Path) -> Card:
    """Read the card of a single model by its name or its folder.

    Raises:
        ModelError: The model is unknown, or the folder has no card.
        ConfigError: The folder's card is not valid.
    """
    folder = as_folder(name_or_path)
    if folder is None:
        return find(str(name_or_path))
    if not (folder / CARD).is_file():
        raise ModelError(f"{folder} is not a model folder: {CARD} is missing")
    return Card.read(folder / CARD)
