"""Separation for programs that run an event loop: in a thread, cancelled with its task."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from soloist.inference.separation import separate
from soloist.inference.stem_separation import Cancel

Given = ParamSpec("Given")
Result = TypeVar("Result")


class _Either:
    """Request to stop, by the user or by the event loop."""

    def __init__(self, given: Cancel | None) -> None:
        self._given = given
        self._task = threading.Event()

    def set(self) -> None:
        """Request the stop."""
        self._task.set()

    def is_set(self) -> bool:
        """True as soon as either of them has requested the stop."""
        return self._task.is_set() or (self._given is not None and self._given.is_set())


def asynchronous(function: Callable[Given, Result]) -> Callable[Given, Coroutine[Any, Any, Result]]:
    """Make a function with an argument `cancel` one that is awaited.

    It runs in a thread. If its task is cancelled, it is asked to stop, and waited for: nothing of it goes on
    behind the back of the program.

    Args:
        function: The function; its other callbacks are called in the thread.
    """

    @wraps(function)
    async def awaited(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        cancel = _Either(kwargs.get("cancel"))  # type: ignore[arg-type]
        kwargs["cancel"] = cancel
        work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            cancel.set()
            with suppress(Exception):
                await work
            raise

    return awaited


separate_async = asynchronous(separate)
"""`soloist.separate` for an event loop: `await soloist.separate_async("song.mp3")`."""
