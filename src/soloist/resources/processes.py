"""Pools of processes that stop silently on Ctrl-C, and with the process that started them."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from types import FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar

from soloist.resources.interrupts import without_interrupts

T = TypeVar("T")
P = ParamSpec("P")


class Processes(ProcessPoolExecutor):
    """Pool of processes that stops silently on Ctrl-C.

    A terminal sends Ctrl-C to all processes of a command, and each would print a traceback. The processes of
    the pool ignore the signal: an interruption of the `with` block ends them after they have cleaned up.

    A process whose starter is killed ends as well.

    The pool spawns its processes, because a fork of a process with PyTorch's threads may hang.

    Args:
        count: Largest number of processes.
        start: Function that each process calls before its first work.
        arguments: Arguments of `start`.
    """

    def __init__(self, count: int, start: Callable[..., object] | None = None, *arguments: object) -> None:
        begin = partial(_begin, start, *arguments)
        super().__init__(count, mp_context=get_context("spawn"), initializer=begin)

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in a process of the pool, which may be started for it."""
        with without_interrupts():
            return super().submit(_work, work, *args, **kwargs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            manager: Any = self._executor_manager_thread
            self.shutdown(wait=False, cancel_futures=True)
            # Processes of other pools too: threads that wait for them would keep the command from ending.
            processes = active_children()
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()
            # Python's end would interfere with that of the thread that manages them.
            if manager is not None:
                manager.join()
        self.shutdown(wait=True)


_leaving = _working = False
_PAUSE = 1.0


def _begin(start: Callable[..., object] | None, *arguments: object) -> None:
    # Python collects garbage when it ends, which takes most of a second with the objects of PyTorch.
    atexit.register(gc.freeze)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_follow_parent, daemon=True).start()
    if start is not None:
        start(*arguments)


def _follow_parent() -> None:
    """Clean up and end when the process that started this one is gone, as after a kill."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        while True:
            # The first one ends the present work, a later one the waiting for more.
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_PAUSE)


def _leave(number: int, frame: FrameType | None) -> None:
    """Clean up after the current work, and refuse further work."""
    global _leaving
    if _leaving and _working:  # it is cleaning up
        return
    _leaving = True
    sys.exit(128 + number)


def _work(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    global _working
    if _leaving:
        sys.exit()
    _working = True
    try:
        return work(*args, **kwargs)
    finally:
        _working = False
