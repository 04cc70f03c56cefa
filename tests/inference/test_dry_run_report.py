"""A dry run agrees with the separation, within reason."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from soloist.inference import (
    Calibration,
    DryRun,
    FileJob,
    FileSettings,
    StreamSettings,
    Track,
    Trial,
    save_calibration,
)
from soloist.resources import peak_memory
from soloist.zoo import load

MODEL = "tiny-sudormrf-digits"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))


@pytest.fixture
def track(tmp_path):
    path = tmp_path / "talkers.wav"
    samples = 0.1 * np.random.default_rng(0).standard_normal(20 * 8000)
    soundfile.write(path, samples, 8000)
    return Track(path, "talkers")


def job(tmp_path, **stream):
    return FileJob(MODEL, FileSettings(folder=tmp_path / "stems", stream=StreamSettings(**stream)))


def calibration(chunk=0.5, engine="torch", threads=1, batch_size=1):
    return Calibration((Trial(engine, threads, batch_size, chunk, 0.25, 0.125, 321.0, 0.0),))


@pytest.mark.slow
def test_the_time_is_about_that_which_it_takes(tmp_path, track):
    expected = DryRun(job(tmp_path)).report(track)
    assert not (tmp_path / "stems").exists()
    elapsed = job(tmp_path).run(track).elapsed
    # Much wider than on a quiet machine: others may take the processor between the two.
    assert elapsed / 5 < expected.seconds < 5 * elapsed
    # What this process holds of other tests counts, too.
    assert 100 < expected.memory.process < peak_memory() + 1000
    assert not expected.calibrated


def test_longer_files_take_longer_and_no_more_memory(tmp_path, track):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(soundfile.read(track.path)[0], 10), 8000)
    dry_run = DryRun(job(tmp_path))
    short, long = dry_run.report(track), dry_run.report(Track(path, "long"))
    assert 5 < long.seconds / short.seconds < 15
    assert long.memory == short.memory


def test_a_calibration_says_what_a_chunk_takes(tmp_path, track):
    save_calibration(load(MODEL), calibration(chunk=100.0))
    this = job(tmp_path)
    expected = DryRun(this).report(track)
    chunks = this.settings.stream.chunking(load(MODEL)).count(20 * 8000)
    assert expected.calibrated
    # That is what the process grows by.
    assert expected.memory.process > 100 + 321
    assert 100 * chunks < expected.seconds < 100 * chunks + 10


@pytest.mark.parametrize("stream", [{"batch_size": 2}, {"chunk": 2.0}])
def test_a_calibration_of_something_else_is_not_taken(tmp_path, track, stream):
    save_calibration(load(MODEL), calibration(chunk=100.0))
    assert not DryRun(job(tmp_path, **stream)).report(track).calibrated


def test_an_engine_starts_once(tmp_path, track):
    threads = torch.get_num_threads()
    save_calibration(load(MODEL), Calibration((Trial("torch", threads, 1, 0.0, 1000.0, 0.0, 50.0, 0.0),)))
    dry_run = DryRun(job(tmp_path))
    assert [round(dry_run.report(track).seconds / 100) for _ in range(2)] == [10, 0]


def test_a_last_chunk_of_another_length_takes_longer(tmp_path, track):
    save_calibration(
        load(MODEL), Calibration((Trial("torch", torch.get_num_threads(), 1, 0.0, 0.0, 100.0, 50.0, 0.0),))
    )
    path = tmp_path / "longer.wav"
    soundfile.write(path, soundfile.read(track.path)[0][:-1], 8000)
    dry_run = DryRun(job(tmp_path))
    assert [round(dry_run.report(each).seconds / 100) for each in (track, Track(path, "longer"))] == [0, 1]


@pytest.mark.slow
def test_files_shorter_than_a_chunk_say_nothing_of_long_ones(tmp_path, track):
    path = tmp_path / "word.wav"
    soundfile.write(path, soundfile.read(track.path)[0][:400], 8000)
    alone, after = DryRun(job(tmp_path)), DryRun(job(tmp_path))
    word = after.report(Track(path, "word"))
    assert word.seconds < after.report(track).seconds
    # Much wider than on a quiet machine, but a word takes a hundredth.
    assert after.report(track).seconds > alone.report(track).seconds / 10


def test_a_dry_run_leaves_nothing(tmp_path, track, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    DryRun(job(tmp_path)).report(track)
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "stems").exists()


def test_silence_is_taken_for_sound(tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(9 * 8000), 8000)
    expected = DryRun(job(tmp_path)).report(Track(path, "silence"))
    assert expected.seconds > 2 * job(tmp_path).run(Track(path, "silence")).elapsed
