"""Files: written whole or not at all, hashes, and the folder of Soloist's own files."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from soloist.errors import AudioError, ModelError

TRAINED = "model"
"""Name of the model folder in the folder of a training."""

_BLOCK = 1 << 20


def home() -> Path:
    """Folder of Soloist's own files: `SOLOIST_HOME`, or the platform's cache folder."""
    return Path(os.environ.get("SOLOIST_HOME") or platformdirs.user_cache_dir("soloist")).expanduser()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,3}[^/]", re.IGNORECASE)


def is_url(name: str) -> bool:
    """Tell whether a name is a URL; a drive letter is none."""
    return _URL.match(name) is not None


def missing(path: str | os.PathLike[str]) -> str:
    """Line about a file that does not exist; for a URL, with a way to read it."""
    name = os.fspath(path)
    found = _URL.match(name)
    if found is None:
        return f"{name} does not exist"
    # A path has lost the second slash of a URL.
    scheme, rest = found[1].lower(), name[found.end() - 1 :]
    if scheme == "file":
        return f"{scheme}:///{rest} is a URL: give the path of the file, /{rest}"
    url = f"{scheme}://{rest}"
    return (
        f"{url} is a URL, and only files are read: download it first, or send the sound to standard input: "
        f"ffmpeg -i '{url}' -f wav - | soloist separate -"
    )


def json_text(value: object, *, indent: int | None = None, ensure_ascii: bool = True) -> str:
    """Format a value as JSON (RFC 8259), with `null` for numbers that are not finite."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)


def _finite(value: object) -> object:
    """Replace numbers that are not finite by None, in mappings and lists too."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all.

    Args:
        path: The file; missing folders are made.
        content: A text, written in UTF-8, or bytes.

    Raises:
        OSError: The file cannot be written; an old file is unchanged.
    """
    with whole_file(path) as staged, staged.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        # On the disk before the file has its name: a crash leaves the old file or the new one.
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file that becomes `path` after the block, or vanishes after an exception."""
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

    Missing folders are made, and vanish with the files.
    """

    def __init__(self) -> None:
        self._folders: list[Path] = []
        self._files: list[Path] = []
        self._targets: dict[Path, Path] = {}

    def target(self, path: Path) -> Path:
        """Create a temporary file that becomes `path` on `promote`.

        Raises:
            AudioError: `path` is a folder or a device.
            OSError: The file cannot be made.
        """
        temporary = self.scratch(path)
        self._targets[temporary] = path
        return temporary

    def scratch(self, path: Path) -> Path:
        """Create a temporary file beside `path` that vanishes on `promote`.

        Raises:
            AudioError: `path` is a folder or a device.
            OSError: The file cannot be made.
        """
        self._make_folder(path.parent)
        if kind := _kind(path):
            raise AudioError(f"cannot write {path}: it is a {kind}")
        temporary = _temporary(path)
        try:
            temporary.open("xb").close()
        except OSError as error:
            # The message has the name that the user knows.
            raise OSError(error.errno, error.strerror, str(path)) from error
        self._files.append(temporary)
        return temporary

    def promote(self) -> None:
        """Rename all files to their targets, which are replaced, and remove scratch files."""
        for temporary, path in self._targets.items():
            os.replace(temporary, path)
        self._folders.clear()
        self.discard()

    def discard(self) -> None:
        """Remove the temporary files, and the folders that were made for them."""
        for file in self._files:
            with suppress(OSError):
                file.unlink()
        for folder in reversed(self._folders):
            with suppress(OSError):  # no longer empty
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
    """Kind of a path that no file may replace, or None; raises OSError for an impossible name."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode):
        return None
    return "folder" if stat.S_ISDIR(mode) else "device or a pipe"


def some(names: Collection[str], limit: int = 3) -> str:
    """List the first few names, and the number of the others."""
    listed = ", ".join(sorted(names)[:limit])
    return f"{listed} and {len(names) - limit} more" if len(names) > limit else listed


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
    """Move a finished folder to its place; the old one is removed after success."""
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
