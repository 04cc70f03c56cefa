"""Standard error without the lines of the MP3 decoder in libsndfile (mpg123)."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

_STDERR = 2
_FOREIGN = re.compile(rb"(?<![A-Za-z])(?:\[src/libmpg123/|Note: |Warning: )[^\n]*\n?")

_lock = threading.Lock()
_sink: tuple[int, IO[bytes]] | None = None
# A child that is forked meanwhile would write into the temporary file for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@contextmanager
def no_foreign_lines() -> Iterator[None]:
    """Keep the decoder's lines from standard error; lines of other threads follow afterwards.

    The decoder writes to the file descriptor, names no file, and libsndfile cannot switch that off.
    """
    if sys.__stderr__ is None:  # The descriptor is closed, or some other file's.
        yield
        return
    with _lock:
        saved = os.dup(_STDERR)
        sink = _temporary_file()
        os.dup2(sink.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
            _pass_on(sink)


def _temporary_file() -> IO[bytes]:
    """File for what is written, one for each process."""
    global _sink
    if _sink is None or _sink[0] != os.getpid():
        _sink = (os.getpid(), tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - kept open
    return _sink[1]


def _pass_on(sink: IO[bytes]) -> None:
    """Write the lines of others to standard error, and empty the file."""
    if not sink.tell():
        return
    sink.seek(0)
    others = _FOREIGN.sub(b"", sink.read())
    sink.seek(0)
    sink.truncate()
    with suppress(OSError):  # Nobody reads standard error.
        while others.strip():
            others = others[os.write(_STDERR, others) :]
