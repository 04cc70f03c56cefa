"""Folders: written whole or not at all, and checked before they are written to."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from soloist.errors import ModelError
from soloist.files import REPLACED, scratch_folder, some


def check_free(
    folder: Path, what: str, files: Collection[str], *, overwrite: bool, signs: Collection[str] | None = None
) -> None:
    """Refuse to write to a folder with other content, or with old content that must not be replaced.

    Args:
        folder: The folder, which may be missing.
        what: Name of the content, with its article.
        files: Names of the files of the content.
        overwrite: Replace old content.
        signs: Files that show that there is old content; None for any of `files`.

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
    """Yield a temporary folder that replaces `folder` after the block.

    After an exception the old folder is unchanged, and the new one vanishes with the parents that were made.
    """
    missing = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(folder.parent) as scratch:
            whole = scratch / "whole"
            whole.mkdir()
            yield whole
            _put(whole, folder, scratch.parent / REPLACED / folder.name)
    except BaseException:
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()
        raise


def _put(whole: Path, folder: Path, old: Path) -> None:
    """Move a finished folder to its place; the old one is kept at `old` until then, or in its place."""
    if not folder.exists():
        whole.rename(folder)
        return
    if _exchange(whole, folder):
        return
    old.parent.mkdir(exist_ok=True)
    folder.rename(old)
    try:
        whole.rename(folder)
    except BaseException:
        old.rename(folder)
        raise


_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, so that a kill finds both; False where the system cannot."""
    if sys.platform != "linux":
        return False
    import ctypes

    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and not rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
