"""What is said before a separation agrees with what then happens, within reason."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from soloist.inference.calibration import Calibration, Trial, save_calibration
from soloist.inference.inputs import Track
from soloist.inference.job import FileJob, FileSettings
from soloist.inference.plan import Planner
from soloist.inference.stream import StreamSettings
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


def test_the_time_is_about_that_which_it_takes(tmp_path, track):
    expected = Planner(job(tmp_path)).expect(track)
    assert not (tmp_path / "stems").exists()
    elapsed = job(tmp_path).run(track).elapsed
    # Much wider than on a quiet machine: others may take the processor between the two.
    assert elapsed / 5 < expected.seconds < 5 * elapsed
    assert 100 < expected.memory < 2000
    assert expected.fits
    assert expected.basis == "measurement"


def test_longer_files_take_longer_and_no_more_memory(tmp_path, track):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(soundfile.read(track.path)[0], 10), 8000)
    planner = Planner(job(tmp_path))
    short, long = planner.expect(track), planner.expect(Track(path, "long"))
    assert 5 < long.seconds / short.seconds < 15
    assert long.memory == short.memory


def test_a_calibration_says_what_a_chunk_takes(tmp_path, track):
    save_calibration(load(MODEL), calibration(chunk=100.0))
    this = job(tmp_path)
    expected = Planner(this).expect(track)
    chunks = this.settings.stream.chunking(load(MODEL)).count(20 * 8000)
    assert expected.basis == "calibration"
    # That is what the process grows by.
    assert expected.memory > 100 + 321
    assert 100 * chunks < expected.seconds < 100 * chunks + 10


@pytest.mark.parametrize("stream", [{"batch_size": 2}, {"chunk": 2.0}])
def test_a_calibration_of_something_else_is_not_taken(tmp_path, track, stream):
    save_calibration(load(MODEL), calibration(chunk=100.0))
    assert Planner(job(tmp_path, **stream)).expect(track).basis == "measurement"


def test_what_does_not_fit_is_known_without_trying_it(tmp_path):
    path = tmp_path / "night.flac"
    soundfile.write(path, np.zeros(8 * 3600 * 8000, np.int16), 8000)
    expected = Planner(job(tmp_path, chunk=8 * 3600.0)).expect(Track(path, "night"))
    assert not expected.fits
