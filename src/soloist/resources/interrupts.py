"""Ctrl-C: whenever it comes, it is heard, and heard where the program can clean up after itself."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

PATIENCE = 5.0
"""Seconds after which even an import is interrupted."""

_PAUSE = 0.05


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Raise `KeyboardInterrupt` at Ctrl-C, but not where it would be lost; let it end the program afterwards.

    A program that was started in the background ignores Ctrl-C, and goes on doing so. Of processes that train
    together only the first one hears it, and ends the others.
    """
    interrupts = Interrupts()
    if os.environ.get("LOCAL_RANK", "0") != "0":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupts
        return
    sys.unraisablehook = interrupts.lose
    signal.signal(signal.SIGINT, interrupts.hear)
    try:
        yield interrupts
    finally:
        # Everything is done or cleaned up, and nobody is left to pass an exception on to.
        signal.signal(signal.SIGINT, signal.SIG_IGN if interrupts.to_come else signal.SIG_DFL)


class Interrupts:
    """What is done at Ctrl-C.

    Packages whose import is interrupted may take that for a missing package and go on, broken: the import
    comes to its end first. What is raised where Python cannot pass it on, as in `__del__`, is raised again.

    Attributes:
        to_come: Whether one was put off that has not come yet.
    """

    def __init__(self) -> None:
        self.to_come = False
        self._report = sys.unraisablehook
        self._first: float | None = None

    @property
    def heard(self) -> bool:
        """Whether there was one: an error that comes later may come of it."""
        return self._first is not None

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Raise, or put it off."""
        self.to_come, now = False, time.monotonic()
        self._first = self._first or now
        if not _is_importing(frame) or now - self._first > PATIENCE:
            raise KeyboardInterrupt
        self._put_off()

    def lose(self, unraisable: Any) -> None:
        """Raise once more what Python cannot pass on."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._put_off()
        else:
            self._report(unraisable)

    def _put_off(self) -> None:
        self.to_come = True
        # Not through `threading`: the main thread may be in the middle of it.
        _thread.start_new_thread(_interrupt_soon, ())


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _interrupt_soon() -> None:
    time.sleep(_PAUSE)
    if hasattr(signal, "pthread_kill"):
        # Wakes the main thread where it waits, too.
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]
    else:
        _thread.interrupt_main()
