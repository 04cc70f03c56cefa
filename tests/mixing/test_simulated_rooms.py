"""Rooms of pyroomacoustics: decay, direct sound, level, and the same rooms by their numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from soloist.errors import UsageError
from soloist.mixing import SimulatedRoom

pytest.importorskip("pyroomacoustics")
RATE = 8000
QUICK = {"rooms": 2, "floor": (7.0, 9.0), "decay": (0.2, 0.2), "sample_rate": RATE, "p": 1.0}


def room(**arguments):
    return SimulatedRoom(**{**QUICK, **arguments})


def impulses(sources=2, channels=2):
    references = np.zeros((sources, channels, RATE), np.float32)
    references[..., 0] = 1
    return references


def decay_time(response):
    """Reverberation time, from the slope between 5 and 25 dB of decay, s."""
    energy = np.square(response, dtype=np.float64)[::-1].cumsum()[::-1]
    decibels = 10 * np.log10(energy / energy[0] + 1e-12)
    return 3 * (np.argmax(decibels < -25) - np.argmax(decibels < -5)) / RATE


@pytest.mark.parametrize("decay", [0.2, 0.35])
def test_a_room_decays_as_asked_for_and_keeps_level_and_time(decay):
    wet = room(rooms=1, floor=(5.0, 5.0), decay=(decay, decay))(impulses(), 0)
    assert np.square(wet).sum(axis=(1, 2)) == pytest.approx([2, 2], rel=1e-5)
    assert np.abs(wet).max(axis=1).argmax(axis=1).tolist() == [0, 0]
    times = [decay_time(response) for response in wet.reshape(-1, RATE)]
    assert np.mean(times) == pytest.approx(decay, rel=0.35)


def test_sources_and_channels_have_responses_of_their_own():
    wet = room()(impulses(), 0).reshape(4, -1)
    similar = np.corrcoef(wet)[np.triu_indices(4, 1)]
    assert np.abs(similar).max() < 0.9


def test_batch_equals_single_and_rooms_depend_on_numbers_alone():
    references = np.random.default_rng(0).normal(size=(3, 2, 1, 2000)).astype(np.float32)
    single = [room()(example, index) for index, example in enumerate(references, 5)]
    np.testing.assert_array_equal(room().batch(references, [5, 6, 7]), single)
    drawn = {room()(impulses(1, 1), index).tobytes() for index in range(9)}
    assert len(drawn) == 2
    assert not np.array_equal(room(seed=1)(references[0], 5), single[0])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(room()))(references[0], 5), single[0])
    np.testing.assert_array_equal(room(p=0.0)(references[0], 5), references[0])


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rooms": 0}, "rooms"),
        ({"floor": (5, 3)}, "floor"),
        ({"height": (1, 3)}, "height"),
        ({"decay": (0.1, 9)}, "decay"),
    ],
)
def test_impossible_rooms_are_refused(wrong, named):
    with pytest.raises(UsageError, match=f"SimulatedRoom: {named}"):
        room(**wrong)
