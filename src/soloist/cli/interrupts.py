"""Ctrl-C: whenever it comes, it is heard, and nothing is said of it but by the command line itself."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PAUSE = 0.05


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at Ctrl-C also where Python would lose it; let it end the program afterwards.

    What is raised in `__del__` or in a callback cannot be passed on: Python prints it and forgets it. Here
    it is raised again a moment later instead.

    A program that was started in the background ignores Ctrl-C, and goes on doing so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    report = sys.unraisablehook

    def raise_again(lost: Any) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            # Not through `threading`, which may be what was interrupted.
            _thread.start_new_thread(_interrupt_soon, ())
        else:
            report(lost)

    sys.unraisablehook = raise_again
    try:
        yield
    finally:
        # Everything is done or cleaned up, and nobody is left to pass an exception on to.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def was_interrupted(error: BaseException | None) -> bool:
    """Whether an error comes of Ctrl-C: an import that is interrupted may say that a package is missing."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _interrupt_soon() -> None:
    time.sleep(_PAUSE)
    if hasattr(signal, "pthread_kill"):
        # Wakes the main thread where it waits, too.
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]
    else:
        _thread.interrupt_main()
