"""Folders of models and downloads on this machine, and names that a model may have."""

from __future__ import annotations

import re
from pathlib import Path

from soloist.errors import UsageError
from soloist.files import home

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def models_folder() -> Path:
    """The folder in which each model has a folder of its own name."""
    return home() / "models"


def downloads_folder() -> Path:
    """The folder of published files, as they were downloaded or put there by hand."""
    return home() / "downloads"


def is_name(text: str) -> bool:
    """Whether a text can name a model: letters, digits, `.`, `_`, `-`, the first a letter or digit."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """The name, if it is one; so a name never leads out of the folder that it is put in.

    Raises:
        UsageError: The text is not a name.
    """
    if not is_name(name):
        raise UsageError(
            f"{name!r} cannot name a model: letters, digits, '.', '_' and '-', the first a letter or digit"
        )
    return name
