"""`soloist.separate_async` in an event loop."""

from __future__ import annotations

import asyncio
import inspect
import threading

import numpy as np
import pytest

import soloist

MODEL = "tiny-sudormrf-digits"
SHORT = soloist.StreamSettings(chunk=0.5)
RATE = 8000


@pytest.fixture(scope="module")
def talk():
    return (0.1 * np.random.default_rng(0).standard_normal((1, 3 * RATE))).astype(np.float32)


def test_the_loop_goes_on_while_recordings_are_separated(talk):
    async def work():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        clock = asyncio.create_task(tick())
        jobs = [soloist.separate_async(talk, RATE, model=MODEL, settings=SHORT) for _ in range(2)]
        separations = await asyncio.gather(*jobs)
        clock.cancel()
        return separations, ticks

    separations, ticks = asyncio.run(work())
    alone = soloist.separate(talk, RATE, model=MODEL, settings=SHORT)
    assert ticks > 5
    for separation in separations:
        np.testing.assert_array_equal(separation["talker1"], alone["talker1"])


def test_a_cancelled_task_stops_its_thread(talk):
    seen = []

    async def work():
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def progress(done, total):
            seen.append(done)
            loop.call_soon_threadsafe(begun.set)

        job = asyncio.create_task(
            soloist.separate_async(np.tile(talk, 100), RATE, model=MODEL, settings=SHORT, progress=progress)
        )
        await begun.wait()
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        return len(seen)

    at_end = asyncio.run(work())
    assert seen[-1] < 150
    assert len(seen) == at_end


def test_errors_and_the_users_own_event_are_heard(talk):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(soloist.Interrupted):
        asyncio.run(soloist.separate_async(talk, RATE, model=MODEL, cancel=cancel))
    with pytest.raises(soloist.UsageError, match="need their rate"):
        asyncio.run(soloist.separate_async(talk))


def test_its_arguments_are_those_of_separate():
    assert inspect.signature(soloist.separate_async) == inspect.signature(soloist.separate)
    assert inspect.iscoroutinefunction(soloist.separate_async)
