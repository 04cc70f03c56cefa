"""Separation for programs that run an event loop: in a thread, cancelled with its task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from soloist.inference.separation import separate
from soloist.inference.stem_separation import EitherCancel

Given = ParamSpec("Given")
Result = TypeVar("Result")


def asynchronous(function: Callable[Given, Result]) -> Callable[Given, Coroutine[Any, Any, Result]]:
    """Make a function with an argument `cancel` one that is awaited.

    It runs in a thread. If its task is cancelled, it is asked to stop, and waited for: nothing of it goes on
    behind the back of the program.

    Args:
        function: The function; its other callbacks are called in the thread.
    """

    @wraps(function)
    async def awaited(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        cancel = EitherCancel(kwargs.get("cancel"))  # type: ignore[arg-type]
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
