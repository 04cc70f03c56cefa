"""Processes that work for this one: Ctrl-C is not for them, and they end with what they were started for."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, get_context
from types import FrameType, TracebackType
from typing import NoReturn, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Processes(ProcessPoolExecutor):
    """A pool of processes that an interruption ends at once, and without a word of theirs.

    A terminal sends Ctrl-C to all processes of a command, and each would print a traceback. These do not hear
    it: what interrupts the block in which they are used ends them, after they have cleaned up.

    They are spawned, because a fork of a process with PyTorch's threads may hang.

    Args:
        count: How many there are at most.
        start: What each does before its first work.
        arguments: Of `start`.
    """

    def __init__(self, count: int, start: Callable[..., object] | None = None, *arguments: object) -> None:
        begin = partial(_begin, start, *arguments)
        super().__init__(count, mp_context=get_context("spawn"), initializer=begin)

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have some work done; a process may be started for it."""
        with without_interrupts():
            return super().submit(_work, work, *args, **kwargs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self.shutdown(wait=False, cancel_futures=True)
            # Of other pools too: threads that wait for them would keep the command from ending.
            processes = active_children()
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()
        self.shutdown(wait=True)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Put off Ctrl-C in this thread; processes that it starts meanwhile never hear it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_leaving = False


def _begin(start: Callable[..., object] | None, *arguments: object) -> None:
    signal.signal(signal.SIGTERM, _leave)
    if start is not None:
        start(*arguments)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Clean up after the work that was begun, and begin none any more."""
    global _leaving
    _leaving = True
    sys.exit(128 + number)


def _work(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    if _leaving:
        sys.exit()
    return work(*args, **kwargs)
