"""Stages of a pipeline in threads of their own: the next item is made while the last one is taken.

Threads help where a stage computes outside of Python, as decoders, encoders, NumPy and PyTorch do.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from typing import Any, TypeVar

T = TypeVar("T")

_WAITING = 2
"""Most items between two stages, so that memory stays flat."""

_END: Any = object()


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """Pass items on, while a thread makes the next ones.

    An error of the items is raised in its place. If the caller stops early, the items are closed.

    Args:
        items: Items, up to two of which are made before they are asked for.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, iterator, _END) for _ in range(_WAITING))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(thread.submit(next, iterator, _END))
                yield item
        finally:
            for each in waiting:
                each.cancel()
            if close := getattr(iterator, "close", None):
                with suppress(RuntimeError):  # Python ends, and starts nothing more.
                    thread.submit(close)


def take_behind(items: Iterable[T], take: Callable[[T], None]) -> None:
    """Call a function with each item, in order, in a thread, while the next item is made here.

    An error of either ends both: it is raised here, after the call that is under way has ended.

    Args:
        items: Items; up to two wait for the function.
        take: Called by one thread.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[None]] = deque()
        try:
            for item in items:
                waiting.append(thread.submit(take, item))
                if len(waiting) > _WAITING:
                    waiting.popleft().result()
            for each in waiting:
                each.result()
        except BaseException:
            thread.shutdown(wait=False, cancel_futures=True)
            raise


def run_at_once(calls: Sequence[Callable[[], None]], stop: Event) -> None:
    """Run calls at the same time, in as many threads as there are processors.

    Args:
        calls: The calls.
        stop: Set at the first error, and at Ctrl-C, so that the other calls can end early.

    Raises:
        BaseException: The error of the first call that has one.
    """
    with ThreadPoolExecutor(min(len(calls), os.cpu_count() or 1)) as threads:
        try:
            for future in [threads.submit(call) for call in calls]:
                future.result()
        except BaseException:
            stop.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise
