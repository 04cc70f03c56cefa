"""Ctrl-C handling: never lost, never inside an import."""

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
"""Seconds after the first Ctrl-C from which on even an import is interrupted."""

_PAUSE = 0.05


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Raise `KeyboardInterrupt` at Ctrl-C in the block, except inside an import; end the program after it.

    A program that was started in the background still ignores Ctrl-C. Of processes that train together only
    the first one handles it, and ends the others.
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
        # Everything is done or cleaned up, and no caller is left to catch an exception.
        signal.signal(signal.SIGINT, signal.SIG_IGN if interrupts.to_come else signal.SIG_DFL)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Delay Ctrl-C in this thread; processes that the thread starts in the block never receive the signal."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Interrupts:
    """Handler of Ctrl-C.

    A package whose import is interrupted may take the interruption for a missing package and go on, broken:
    imports are finished first. An interruption that Python cannot pass on, as in `__del__`, is raised again.

    Attributes:
        to_come: True while an interruption is delayed.
    """

    def __init__(self) -> None:
        self.to_come = False
        self._report = sys.unraisablehook
        self._first: float | None = None

    @property
    def heard(self) -> bool:
        """True after the first Ctrl-C, of which a later error may be a consequence."""
        return self._first is not None

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Raise `KeyboardInterrupt`, or delay it."""
        self.to_come, now = False, time.monotonic()
        self._first = self._first or now
        if not _is_importing(frame) or now - self._first > PATIENCE:
            raise KeyboardInterrupt
        self._delay()

    def lose(self, unraisable: Any) -> None:
        """Raise an interruption again that Python cannot pass on."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._delay()
        else:
            self._report(unraisable)

    def _delay(self) -> None:
        self.to_come = True
        # Not through `threading`, in the middle of which the main thread may be.
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
        # Wakes the main thread from waiting, too.
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]
    else:
        _thread.interrupt_main()
