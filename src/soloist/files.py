"""Files: written whole or not at all, hashes, and the folder of Soloist's own files."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import platformdirs

from soloist.errors import AudioError

TRAINED = "model"
"""Name of the model folder in the folder of a training."""

_BLOCK = 1 << 20


def home() -> Path:
    """Folder of Soloist's own files: `SOLOIST_HOME`, or the platform's cache folder."""
    return expand_home(os.environ.get("SOLOIST_HOME") or platformdirs.user_cache_dir("soloist"))


def expand_home(given: str | os.PathLike[str]) -> Path:
    """Path of a name that a user gave: `~` is the home folder unless something has the name as given."""
    path = Path(given)
    if not os.path.lexists(path):
        with suppress(RuntimeError):  # no such user
            return path.expanduser()
    return path


def is_utf8(path: Path) -> bool:
    """False for a path with bytes that are not UTF-8, which some libraries do not open."""
    try:
        os.fspath(path.absolute()).encode()
    except UnicodeEncodeError:
        return False
    return True


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def json_text(value: object, *, indent: int | None = None, ensure_ascii: bool = True) -> str:
    """Format a value as JSON (RFC 8259), with `null` for numbers that are not finite.

    Control characters are escaped, those beyond ASCII too, which terminals obey.
    """
    text = json.dumps(_finite(value), indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)
    return re.sub("[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text)


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
        content: A text, written in UTF-8 (bytes in names that are not UTF-8 escaped), or bytes.

    Raises:
        OSError: The file cannot be written; an old file is unchanged.
    """
    with whole_file(path) as staged, staged.open("wb") as file:
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
        # On the disk before the file has its name: a crash leaves the old file or the new one.
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield an empty temporary file that becomes `path` after the block, or vanishes after an exception.

    Raises:
        OSError: The file cannot be written, with its name.
    """
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged, lock = _new_partial(path)
        try:
            yield staged
            os.replace(staged, path)
        finally:
            _surely(partial(staged.unlink, missing_ok=True))
            _close(lock)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Give errors of writing the name that the user knows: a full disk has none, a temporary file its own."""
    try:
        yield
    except OSError as error:
        named = error.filename is not None and not Path(error.filename).match(PARTIAL)
        if named or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


PARTIAL = ".soloist-*.partial"
"""Pattern of the names of files and folders that are being written.

A killed program leaves them, and the next one that writes into the same folder removes them: a lock, which
ends with its process, tells whether somebody still writes them.
"""

REPLACED = "replaced"
"""Name of the folder, in a folder that is being written, of what it is about to replace."""

_HOST = hashlib.sha256(platform.node().encode(errors="replace")).hexdigest()[:8]
_DAY = 86400.0
_visited: set[Path] = set()


def remove_leftovers(folder: Path, *, recursive: bool = False) -> None:
    """Remove what killed programs were writing into a folder, or below it; what others still write stays.

    The locks of another computer may not be seen here: its files are removed a day after their last change.
    A model or an export that was about to be replaced goes back to its place.
    """
    for path in list(folder.rglob(PARTIAL) if recursive else folder.glob(PARTIAL)):
        with suppress(OSError):
            _remove_leftover(path)


def _remove_leftover(path: Path) -> None:
    host = path.name.split("-")[1]
    if len(host) == len(_HOST) and host != _HOST and time.time() - path.stat().st_mtime < _DAY:
        return
    # Some network file systems lock only what is open for writing.
    lock = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        if not _lock(lock, wait=False):
            return
        if not path.is_dir():
            path.unlink()
            return
        for old in path.glob(f"{REPLACED}/*"):
            if not (path.parent / old.name).exists():
                old.rename(path.parent / old.name)
        shutil.rmtree(path)
    finally:
        os.close(lock)


def _new_partial(path: Path, *, folder: bool = False) -> tuple[Path, int | None]:
    """Create a locked temporary file or folder beside `path`; return it with the descriptor of the lock."""
    parent = path.absolute().parent
    if parent not in _visited:
        _visited.add(parent)
        remove_leftovers(parent)
    while True:
        # A short name of its own: the target's may be as long as the file system allows.
        staged = path.with_name(PARTIAL.replace("*", f"{_HOST}-{secrets.token_hex(8)}"))
        try:
            lock = _create(staged, folder=folder)
            if lock is not None:
                _lock(lock, wait=True)
        except BaseException:  # also an interruption that comes before anybody knows of the file
            with suppress(OSError):
                staged.rmdir() if folder else staged.unlink()
            raise
        # Another process may have removed it before it was locked.
        if staged.exists():
            return staged, lock
        _close(lock)


def _create(path: Path, *, folder: bool) -> int | None:
    """Create a file or a folder; return a descriptor, or None where an open file cannot be renamed."""
    if folder:
        path.mkdir(mode=0o700)
        return None if sys.platform == "win32" else os.open(path, os.O_RDONLY)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    if sys.platform != "win32":
        return lock
    os.close(lock)
    return None


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Wait until no other process holds the folder, and hold it in the block.

    Without effect where the system or the file system has no such locks.
    """
    if sys.platform == "win32":
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        _lock(lock, wait=True)
        yield
    finally:
        os.close(lock)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock an open file or folder until it is closed; False if that is not possible."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _close(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a temporary folder that vanishes after the block; if the program is killed, before the next one.

    Args:
        parent: Folder in which it is made; None for the system's folder of temporary files.
    """
    scratch, lock = _new_partial((parent or Path(tempfile.gettempdir())) / "scratch", folder=True)
    try:
        # A folder in the folder: the lock of the outer one is nobody else's.
        content = scratch / "content"
        content.mkdir()
        yield content
    finally:
        _surely(partial(shutil.rmtree, scratch, ignore_errors=True))
        _close(lock)


def _surely(remove: Callable[[], None]) -> None:
    """Remove something, also if an interruption comes in the middle."""
    try:
        remove()
    finally:
        remove()


class Staging:
    """Temporary files beside their targets, which take their names all at once, or vanish.

    Missing folders are made, and vanish with the files.
    """

    def __init__(self) -> None:
        self._folders: list[Path] = []
        self._files: dict[Path, int | None] = {}
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
        with _named(path):
            temporary, lock = _new_partial(path)
        self._files[temporary] = lock
        return temporary

    def promote(self) -> None:
        """Rename all files to their targets, which are replaced, and remove scratch files."""
        for temporary, path in self._targets.items():
            os.replace(temporary, path)
        self._folders.clear()
        self.discard()

    def discard(self) -> None:
        """Remove the temporary files, and the folders that were made for them."""
        _surely(self._remove_files)
        for folder in reversed(self._folders):
            with suppress(OSError):  # no longer empty
                folder.rmdir()
        self._folders.clear()
        self._targets.clear()

    def _remove_files(self) -> None:
        for file in list(self._files):
            with suppress(OSError):
                file.unlink()
            _close(self._files.pop(file))

    def _make_folder(self, folder: Path) -> None:
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        for parent in reversed(missing):
            # Before it is made: an interruption may come between.
            self._folders.append(parent)
            parent.mkdir(exist_ok=True)


def _kind(path: Path) -> str | None:
    """Kind of a path that no file may replace, or None; raises OSError for an impossible name."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode):
        return None
    return "folder" if stat.S_ISDIR(mode) else "device or a pipe"


def counted(number: int, noun: str) -> str:
    """A number and its noun: `1 error`, `2 errors`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def some(names: Collection[str], limit: int = 3) -> str:
    """List the first few names, and the number of the others."""
    listed = ", ".join(sorted(names)[:limit])
    return f"{listed} and {len(names) - limit} more" if len(names) > limit else listed
