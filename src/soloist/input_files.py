"""Input files, which no output replaces: known by any link and any spelling of their names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from soloist.errors import UsageError

Identity = tuple[int, int] | str
"""Identity of an existing file: device and number, or the path where the file system numbers no files."""


def identify(path: Path) -> Identity | None:
    """Identity of a file, the same by any link and any spelling of its name; None if there is no file."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return None
    return (about.st_dev, about.st_ino) if about.st_ino else os.path.realpath(path).casefold()


def identify_all(paths: Iterable[Path]) -> dict[Identity, Path]:
    """Files that exist, by their identity."""
    return {identity: path for path in paths if (identity := identify(path)) is not None}


def protect(
    outputs: Iterable[Path],
    inputs: Mapping[Identity, Path],
    *,
    what: str = "a stem",
    way_out: str = "choose another --output or --template",
) -> None:
    """Refuse to replace an input.

    Args:
        outputs: Files to write.
        inputs: Inputs by their identity.
        what: Name of the outputs.
        way_out: Advice for the user.

    Raises:
        UsageError: Names the file and the way out.
    """
    for path in outputs:
        identity = identify(path)
        if identity is not None and identity in inputs:
            source = inputs[identity]
            same = "" if str(path) == str(source) else f" (the same file as {path})"
            raise UsageError(f"{what} would replace the input {source}{same}: {way_out}")
