from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soloist.resources import read_ahead, run_at_once, take_behind

PAUSES = st.lists(st.sampled_from([0.0, 0.0, 0.001]), max_size=12)


class Source:
    """Items with pauses, the number of those that were made, and the thread that closed them."""

    def __init__(self, pauses, fails_at=None):
        self.made, self.closed_by = 0, None
        self._pauses, self._fails_at = pauses, fails_at

    def __iter__(self):
        try:
            for index, pause in enumerate(self._pauses):
                if index == self._fails_at:
                    raise ValueError(f"item {index} is damaged")
                time.sleep(pause)
                self.made += 1
                yield index
        finally:
            self.closed_by = threading.current_thread()


@settings(max_examples=25, deadline=None)
@given(making=PAUSES, taking=PAUSES)
def test_any_pace_gives_all_items_in_order_and_few_at_once(making, taking):
    source, taken = Source(making), []

    def passed():
        for item in read_ahead(source):
            # The one that is here, two that wait, and one that is being made.
            assert source.made <= item + 4
            yield item

    def take(item):
        time.sleep(taking[item] if item < len(taking) else 0.0)
        taken.append((item, threading.current_thread()))

    take_behind(passed(), take)
    assert [item for item, _ in taken] == list(range(len(making)))
    assert len({thread for _, thread in taken} | {source.closed_by}) == (2 if making else 1)
    assert threading.main_thread() not in {thread for _, thread in taken}


@settings(max_examples=10, deadline=None)
@given(place=st.integers(0, 5))
def test_an_error_of_the_source_comes_after_the_items_before_it(place):
    source, taken = Source([0.0] * 6, fails_at=place), []
    with pytest.raises(ValueError, match=f"item {place} is damaged"):
        take_behind(read_ahead(source), taken.append)
    assert taken == list(range(place)) or taken == list(range(len(taken)))
    assert source.closed_by is not None


@settings(max_examples=10, deadline=None)
@given(place=st.integers(0, 19))
def test_an_error_of_the_taker_ends_both(place):
    source, taken = Source([0.0] * 20), []

    def take(item):
        taken.append(item)
        if item >= place:
            raise OSError("the disk is full")

    items = read_ahead(source)
    with pytest.raises(OSError, match="the disk is full"):
        take_behind(items, take)
    items.close()
    assert taken[: place + 1] == list(range(place + 1))
    assert source.made <= place + 9
    assert source.closed_by is not None


def test_an_early_end_closes_the_source_in_its_own_thread_and_leaves_no_thread():
    before, source = threading.active_count(), Source([0.0] * 9)
    items = read_ahead(source)
    assert next(items) == 0
    items.close()
    assert source.made <= 4
    assert source.closed_by not in (None, threading.main_thread())
    assert threading.active_count() == before


def test_calls_run_at_once_and_stop_at_the_first_error():
    stop, ends = threading.Event(), []

    def wait():
        assert stop.wait(5.0)
        ends.append("stopped")

    def fail():
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        run_at_once([fail, wait], stop)
    assert ends in (["stopped"], [])
    meeting = threading.Barrier(2, timeout=5.0)
    done = []
    run_at_once([lambda: done.append(meeting.wait())] * 2, threading.Event())
    assert sorted(done) == [0, 1]
