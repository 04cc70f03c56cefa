"""`soloist.stream`: blocks pushed in give the samples of `soloist.separate`, as soon as they are finished."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import soloist
from soloist.errors import UsageError

MODEL = "tiny-sudormrf-digits"
SHORT = soloist.StreamSettings(chunk=0.5)


def noise(channels, samples):
    return (0.1 * np.random.default_rng(samples).standard_normal((channels, samples))).astype(np.float32)


def push_all(stream, audio, lengths):
    pieces, position = [], 0
    while position < audio.shape[1]:
        for length in lengths:
            pieces.append(stream.push(audio[:, position : position + length]))
            position += length
    pieces.append(stream.finish())
    return {name: np.concatenate([piece[name] for piece in pieces], axis=1) for name in stream.stems}


@pytest.mark.parametrize(
    ("model", "rate", "channels"),
    [("tiny-deep-clustering", 11025, 1), ("hpss", 8000, 2), ("tiny-tfc-tdf-songs", 22050, 2)],
)
def test_the_samples_are_those_of_a_separation_in_one_call(model, rate, channels):
    audio = noise(channels, rate + 5)
    stream = soloist.stream(model, rate, channels, settings=SHORT)
    whole = soloist.separate(audio, rate, model=model, settings=SHORT)
    pushed = push_all(stream, audio, [1000, 1, 0, 2345])
    assert list(pushed) == list(stream.stems) == list(whole)
    for name in whole:
        np.testing.assert_array_equal(pushed[name], whole[name])


@given(lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=5), samples=st.integers(1, 9000))
def test_the_lengths_of_the_blocks_change_nothing(lengths, samples):
    audio = noise(1, samples)
    stream = soloist.stream("hpss", 8000, 1, residual=True)
    pushed = push_all(stream, audio, lengths)
    whole = soloist.separate(audio, 8000, model="hpss", residual=True)
    for name in ("harmonic", "percussive", "residual"):
        np.testing.assert_array_equal(pushed[name], whole[name])


def test_samples_come_as_soon_as_no_later_block_changes_them():
    with soloist.stream(MODEL, 8000, 1, settings=SHORT) as stream:
        finished = [stream.push(noise(1, 800))["talker1"].shape[1] for _ in range(20)]
        rest = stream.finish()["talker1"].shape[1]
    assert finished[0] == 0
    behind = 800 * np.arange(1, 21) - np.cumsum(finished)
    assert behind.min() >= 0
    assert behind.max() <= 0.75 * 8000
    assert sum(finished) + rest == 16000


def test_blocks_of_another_rate_and_type_are_taken():
    stream = soloist.stream("hpss", "44100", 1, two_stems="harmonic")
    stream.push(torch.zeros(1000))
    stream.push(np.zeros((1, 1000), np.int16))
    stems = stream.finish()
    assert list(stems) == ["harmonic", "no_harmonic"]
    assert stems["harmonic"].shape == (1, 2000)


def test_a_stream_without_blocks_is_empty():
    assert soloist.stream("hpss", 8000, 2).finish()["harmonic"].shape == (2, 0)


def test_what_does_not_fit_is_refused_and_the_stream_goes_on():
    stream = soloist.stream("hpss", 8000, 2)
    with pytest.raises(UsageError, match=r"must be \(2, samples\), not \(1, 9\)"):
        stream.push(np.zeros((1, 9)))
    with pytest.raises(UsageError, match="finite"):
        stream.push(np.full((2, 9), np.nan))
    stream.push(np.zeros((2, 9)))
    assert stream.finish()["harmonic"].shape == (2, 9)
    for call in (stream.finish, lambda: stream.push(np.zeros((2, 9)))):
        with pytest.raises(UsageError, match="has ended"):
            call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "channels must be"),
        ({"rate": 0}, "rate must be"),
        ({"stems": "vocals"}, "no stem 'vocals'"),
    ],
)
def test_a_stream_that_cannot_be_is_refused_at_once(options, message):
    with pytest.raises(UsageError, match=message):
        soloist.stream("hpss", **{"rate": 8000, "channels": 1, **options})


def test_an_error_in_the_model_is_raised_where_the_block_is_pushed(monkeypatch):
    stream = soloist.stream(MODEL, 8000, 1, engine="torch")
    monkeypatch.setattr(soloist.Separator, "estimate_any_length", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        stream.push(noise(1, 80000))
    with pytest.raises(UsageError, match="has ended"):
        stream.push(noise(1, 8000))


def test_a_stream_that_nobody_holds_leaves_no_thread():
    def running():
        return [thread for thread in threading.enumerate() if thread.name == "soloist-stream"]

    gc.collect()
    for thread in running():
        thread.join(5)
    stream = soloist.stream("hpss", 8000, 1)
    stream.push(np.zeros((1, 100)))
    (thread,) = running()
    del stream
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()
