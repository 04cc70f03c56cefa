"""Folders that appear when they are complete, and that replace nothing but their like."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from soloist.errors import ModelError

TRAINED = "model"
"""The model's folder in that of its training."""


def some(names: Collection[str], limit: int = 3) -> str:
    """The first few of some names, and how many there are besides."""
    listed = ", ".join(sorted(names)[:limit])
    return f"{listed} and {len(names) - limit} more" if len(names) > limit else listed


def check_free(
    folder: Path, what: str, files: Collection[str], *, overwrite: bool, signs: Collection[str] | None = None
) -> None:
    """Refuse to write to a folder that holds something else, or already holds what is to be written.

    Args:
        folder: The folder; it need not be there.
        what: What it is to hold, with its article.
        files: Names of what belongs there.
        overwrite: Whether what is there already may be replaced.
        signs: The files that say that it is there; None for any of them.

    Raises:
        ModelError: The folder is not free.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ModelError(f"{folder} is in the way: it is not a folder")
    others = {path.name for path in folder.iterdir()} - set(files)
    if others:
        raise ModelError(f"{folder} holds other things than {what} ({some(others)}): left as it is")
    if not overwrite and any((folder / name).exists() for name in (files if signs is None else signs)):
        raise ModelError(
            f"there is {what} in {folder} already: overwrite or remove it, or choose another folder"
        )


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes its place once that has gone well.

    What was there is lost only then. If it goes wrong, nothing is left, nor any folder that was made around.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
            whole = Path(scratch) / "whole"
            whole.mkdir()
            yield whole
            _put(whole, folder)
    except BaseException:
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()
        raise


def _put(whole: Path, folder: Path) -> None:
    """Move a finished folder to its place; what was there is lost only once that has worked."""
    if not folder.exists():
        whole.rename(folder)
        return
    old = whole.with_name("old")
    folder.rename(old)
    try:
        whole.rename(folder)
    except OSError:
        old.rename(folder)
        raise
