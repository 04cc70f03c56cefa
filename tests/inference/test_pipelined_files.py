"""Files are read, separated and written in threads: the samples of one after the other, and a clean end."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import soloist
from soloist.audio import StemWriter, WriteOptions, read_audio
from soloist.errors import AudioError

RATE = 8000
SHORT = soloist.StreamSettings(chunk=0.5)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def noise(samples, channels=1):
    values = 0.1 * np.random.default_rng(samples).standard_normal((samples, channels))
    return np.round(values * 32768) / 32768


def separate(path, folder, **options):
    batch = soloist.Batch("hpss", soloist.FileSettings(folder, stream=SHORT, **options))
    return batch.run([path])


@settings(max_examples=8, deadline=None)
@given(samples=st.integers(1, 200_000), channels=st.integers(1, 2))
def test_the_samples_are_those_of_an_array(tmp_path_factory, samples, channels):
    folder, audio = tmp_path_factory.mktemp("songs"), noise(samples, channels)
    soundfile.write(folder / "song.flac", audio, RATE)
    (report,) = separate(folder / "song.flac", folder / "stems").reports
    expected = soloist.separate(audio.T.astype(np.float32), RATE, model="hpss", settings=SHORT)
    assert list(report.stems) == list(expected)
    for name, path in report.stems.items():
        np.testing.assert_array_equal(read_audio(path)[0], expected[name])


def test_a_file_that_ends_in_the_middle_leaves_nothing(tmp_path):
    soundfile.write(tmp_path / "song.flac", noise(40 * RATE), RATE)
    content = (tmp_path / "song.flac").read_bytes()
    (tmp_path / "song.flac").write_bytes(content[: len(content) // 2])
    (failure,) = separate(tmp_path / "song.flac", tmp_path / "stems").failures
    assert isinstance(failure[1], AudioError)
    assert not (tmp_path / "stems").exists()


def test_a_block_that_cannot_be_written_ends_the_separation(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "song.wav", noise(40 * RATE), RATE)
    written, write = [], StemWriter.write

    def fail_at_the_third(self, stems):
        written.append(threading.current_thread())
        # Samples that no file can have.
        write(self, stems if len(written) < 3 else stems * np.float32(np.nan))

    monkeypatch.setattr(StemWriter, "write", fail_at_the_third)
    (failure,) = separate(tmp_path / "song.wav", tmp_path / "stems").failures
    assert "is not finite at" in str(failure[1])
    assert len(written) <= 7
    assert threading.main_thread() not in written
    assert not (tmp_path / "stems").exists()


def encode(folder: Path, kind, stems):
    options = WriteOptions(format=kind)
    with StemWriter(
        {name: folder / f"{name}.{options.extension}" for name in stems}, RATE, 1, options
    ) as writer:
        writer.write(np.stack(list(stems.values())))
        writer.commit()
    return {name: (folder / f"{name}.{options.extension}").read_bytes() for name in stems}


@pytest.mark.parametrize("kind", ["flac", "opus"])
def test_stems_that_are_encoded_at_once_are_those_that_are_encoded_alone(tmp_path, kind):
    stems = {
        name: noise(samples).T[:, :9000].astype(np.float32) for name, samples in (("a", 9000), ("b", 9001))
    }
    together = encode(tmp_path, kind, stems)
    alone = {name: encode(tmp_path, kind, {name: stem})[name] for name, stem in stems.items()}
    assert together == alone
    assert together["a"] != together["b"]
