"""Files that appear under their names only when they are complete."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from soloist.errors import AudioError


class Staging:
    """Temporary files beside their targets, which take their names all at once, or vanish.

    Folders that are missing are made; those that were made vanish with the files.
    """

    def __init__(self) -> None:
        self._folders: list[Path] = []
        self._files: list[Path] = []
        self._targets: dict[Path, Path] = {}

    def target(self, path: Path) -> Path:
        """Give a temporary path for a file that is to become `path`.

        Raises:
            AudioError: No file can be called `path`.
            OSError: No file can be made there.
        """
        temporary = self.scratch(path)
        self._targets[temporary] = path
        return temporary

    def scratch(self, path: Path) -> Path:
        """Create a temporary file beside `path` that never gets its name.

        Raises:
            AudioError: No file can be called `path`.
            OSError: No file can be made there.
        """
        self._make_folder(path.parent)
        if kind := _kind(path):
            raise AudioError(f"cannot write {path}: it is a {kind}")
        # A short name of its own: the target's may be as long as the file system allows.
        temporary = path.with_name(f".soloist-{secrets.token_hex(8)}.partial")
        try:
            temporary.open("xb").close()
        except OSError as error:
            # Nobody knows the temporary name.
            raise OSError(error.errno, error.strerror, str(path)) from error
        self._files.append(temporary)
        return temporary

    def promote(self) -> None:
        """Give all files their names; scratch files vanish. Existing files are replaced."""
        for temporary, path in self._targets.items():
            os.replace(temporary, path)
        self._folders.clear()
        self.discard()

    def discard(self) -> None:
        """Remove what has no name yet, and the folders that were made for it."""
        for file in self._files:
            with suppress(OSError):
                file.unlink()
        for folder in reversed(self._folders):
            with suppress(OSError):  # another has put something there
                folder.rmdir()
        self._files.clear()
        self._folders.clear()
        self._targets.clear()

    def _make_folder(self, folder: Path) -> None:
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)
            self._folders.append(parent)


def _kind(path: Path) -> str | None:
    """What a path names that no file may replace; raises OSError for a name that no file can have."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode):
        return None
    return "folder" if stat.S_ISDIR(mode) else "device or a pipe"
