"""Ctrl-C and requests to end (SIGTERM, SIGHUP): never lost, never inside an import."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

PATIENCE = 5.0
"""Seconds after the first signal from which on even an import is interrupted."""

_PAUSE = 0.05

_END = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Requests to end: of `kill` and of schedulers, and of a terminal that is closed."""


@contextmanager
def interruptible(interrupts: Interrupts) -> Iterator[None]:
    """Raise `KeyboardInterrupt` at Ctrl-C or a request to end in the block, except inside an import.

    Signals after the block end the program. What its starter ignores stays ignored: Ctrl-C in the background,
    the end of the terminal under `nohup`. Of processes that train together only the first handles signals,
    and ends the others.

    Args:
        interrupts: Remembers the first signal, also after the block.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        yield
        return
    defaults = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(_END, signal.SIG_DFL)}
    numbers = [number for number, default in defaults.items() if signal.getsignal(number) is default]
    if numbers:
        sys.unraisablehook = interrupts.lose
    for number in numbers:
        signal.signal(number, interrupts.hear)
    try:
        yield
    finally:
        # Everything is done or cleaned up, and no caller is left to catch an exception.
        for number in numbers:
            signal.signal(number, signal.SIG_IGN if interrupts.to_come else signal.SIG_DFL)


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
    """Handler of Ctrl-C and of requests to end.

    A package whose import is interrupted may take the interruption for a missing package and go on, broken:
    imports are finished first. An interruption that Python cannot pass on, as in `__del__`, is raised again.

    Attributes:
        to_come: True while an interruption is delayed.
        number: The first signal, of which a later error may be a consequence; None before it.
    """

    def __init__(self) -> None:
        self.to_come = False
        self.number: int | None = None
        self._report = sys.unraisablehook
        self._first = 0.0

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Raise `KeyboardInterrupt`, or delay it."""
        self.to_come, now = False, time.monotonic()
        if self.number is None:
            self.number, self._first = number, now
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
        _thread.start_new_thread(partial(_interrupt_soon, self.number or signal.SIGINT), ())


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _interrupt_soon(number: int) -> None:
    time.sleep(_PAUSE)
    if hasattr(signal, "pthread_kill"):
        # Wakes the main thread from waiting, too.
        signal.pthread_kill(threading.main_thread().ident, number)  # type: ignore[arg-type]
    else:
        _thread.interrupt_main()
