"""Files: written whole or not at all, their hash, and the folder in which Soloist keeps its own."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from soloist.errors import AudioError, ModelError

TRAINED = "model"
"""Name of the model's folder in the folder of its training."""

_BLOCK = 1 << 20


def home() -> Path:
    """Folder of everything that Soloist keeps: `SOLOIST_HOME`, or the platform's cache folder."""
    return Path(os.environ.get("SOLOIST_HOME") or platformdirs.user_cache_dir("soloist")).expanduser()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that its name never stands for half of it.

    Args:
        path: The file; missing folders are made.
        content: A text, in UTF-8, or bytes.

    Raises:
        OSError: The file cannot be written; a file that was there is as before.
    """
    with whole_file(path) as staged, staged.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        # On the disk before it has its name: a machine that stops leaves the old file or the new one.
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary file to fill, which takes its name once that has gone well, or vanishes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = _temporary(path)
    try:
        yield staged
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)


PARTIAL = ".soloist-*.partial"
"""Pattern of the names of files that are being written; a killed program leaves them."""


def _temporary(path: Path) -> Path:
    # A short name of its own: the target's may be as long as the file system allows.
    return path.with_name(PARTIAL.replace("*", secrets.token_hex(8)))


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
        temporary = _temporary(path)
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
