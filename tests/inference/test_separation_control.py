"""Progress, cancellation and threads of `soloist.separate` and `soloist.Batch`."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

import soloist

RATE = 8000
MODEL = "tiny-sudormrf-digits"
SHORT = soloist.StreamSettings(chunk=0.5)


class StopError(Exception):
    pass


@pytest.fixture(scope="module")
def talk():
    return (0.1 * np.random.default_rng(0).standard_normal((1, 3 * RATE))).astype(np.float32)


@pytest.fixture
def files(talk, tmp_path):
    paths = [tmp_path / "in" / f"{name}.wav" for name in ("one", "two", "three")]
    paths[0].parent.mkdir()
    for path in paths:
        soundfile.write(path, talk[0], RATE)
    return paths


@pytest.fixture
def batch(tmp_path):
    return soloist.Batch(MODEL, soloist.FileSettings(tmp_path / "out", stream=SHORT))


def written(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def test_progress_is_seconds_done_and_in_all(talk):
    seen = []
    soloist.separate(talk, RATE, model=MODEL, settings=SHORT, progress=lambda *each: seen.append(each))
    assert len(seen) > 5
    assert seen[0] == (0.0, 3.0)
    assert seen[-1] == (3.0, 3.0)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert {total for _, total in seen} == {3.0}


def test_an_error_of_the_callback_ends_the_separation(talk):
    seen = []

    def progress(done, total):
        seen.append(done)
        if done > 1:
            raise StopError

    with pytest.raises(StopError):
        soloist.separate(talk, RATE, model=MODEL, settings=SHORT, progress=progress)
    assert 1 < seen[-1] < 2
    assert soloist.separate(talk, RATE, model=MODEL, settings=SHORT).report.duration == 3.0


def test_an_event_ends_the_separation_between_chunks(talk):
    cancel, seen = threading.Event(), []

    def progress(done, total):
        seen.append(done)
        if done > 1:
            cancel.set()

    with pytest.raises(soloist.Interrupted, match="cancelled"):
        soloist.separate(talk, RATE, model=MODEL, settings=SHORT, progress=progress, cancel=cancel)
    assert 1 < seen[-1] < 2
    with pytest.raises(soloist.Interrupted):
        soloist.separate("not read at all", cancel=cancel)


@pytest.mark.parametrize("way", ["event", "callback"])
def test_a_batch_that_is_cancelled_keeps_what_is_finished_and_nothing_else(batch, files, tmp_path, way):
    cancel = threading.Event()

    def progress(each):
        if each.track.name == "two" and each.done > 1:
            if way == "callback":
                raise StopError
            cancel.set()

    failures = []
    with pytest.raises(StopError if way == "callback" else soloist.Interrupted):
        batch.run(files, lambda report: None, lambda *each: failures.append(each), progress, cancel)
    assert not failures
    finished = tmp_path / "out" / MODEL / "one"
    assert written(tmp_path / "out") == sorted([".soloist.json", "talker1.wav", "talker2.wav"])
    assert written(finished) == written(tmp_path / "out")
    assert [folder.name for folder in (tmp_path / "out" / MODEL).iterdir()] == ["one"]


def test_a_batch_finds_files_in_folders_and_reports_all(batch, files):
    files[1].write_bytes(b"RIFF of nothing")
    result = batch.run([files[0].parent])
    assert [report.input.stem for report in result.reports] == ["one", "three"]
    ((track, error),) = result.failures
    assert (track.name, result.failed) == ("two", 1)
    assert isinstance(error, soloist.AudioError)


SLOW = [pytest.param(model, marks=pytest.mark.slow) for model in ("tiny-deep-clustering", "two-stage-hpss")]


@pytest.mark.parametrize("model", [MODEL, *SLOW])
def test_threads_get_what_one_thread_gets(model):
    noises = [
        (0.1 * np.random.default_rng(seed).standard_normal((1, RATE))).astype(np.float32) for seed in range(4)
    ]

    def separate(noise):
        return soloist.separate(noise, RATE, model=model, settings=SHORT)

    alone = [separate(noise) for noise in noises]
    soloist.clear()
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(separate, noises * 2))
    for one, other in zip(alone * 2, together, strict=True):
        assert list(one) == list(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
