"""Pieces, mixes and archives of a job's tracks."""

import io
import zipfile

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from served_songs import RATE, finished_job, noise
from soloist.audio import WriteOptions, read_audio
from soloist.errors import UsageError
from soloist.server.job_store import JobStore
from soloist.server.limits import Limits
from soloist.server.mixdown import (
    PIECE,
    Fader,
    plain_name,
    read_piece,
    stream_archive,
    write_mix,
    write_stems,
)

FLOAT = WriteOptions("wav", 32)
LENGTH = round(1.5 * PIECE * RATE)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    store = JobStore(tmp_path_factory.mktemp("jobs"), Limits())
    return finished_job(store, {"vocals": noise(1, 2, LENGTH), "../drums": noise(2, 2, LENGTH)})


@pytest.fixture(scope="module")
def stems(job):
    return {name: read_audio(job.track(name))[0] for name in job.tracks}


def test_pieces_behind_each_other_are_the_track(job, stems):
    pieces = [soundfile.read(io.BytesIO(read_piece(job, "vocals", number)))[0].T for number in range(2)]
    assert pieces[0].shape == (2, PIECE * RATE)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), stems["vocals"], atol=1 / 32768)
    with pytest.raises(KeyError):
        read_piece(job, "vocals", 2)


def test_a_mix_has_each_track_at_its_level_and_place(job, stems, tmp_path):
    write_mix(job, [Fader("vocals", -6.0), Fader("../drums", 0.0, -1.0)], FLOAT, tmp_path / "mix.wav")
    mixed, _ = read_audio(tmp_path / "mix.wav")
    drums = stems["../drums"]
    # All the way to the left both sides sound there.
    expected = 10 ** (-6 / 20) * stems["vocals"] + np.stack([drums.sum(axis=0), 0 * drums[0]])
    np.testing.assert_allclose(mixed, expected, atol=1e-6)


def test_all_stems_at_their_levels_are_the_mixture(job, stems, tmp_path):
    write_mix(job, [Fader(name) for name in job.stems], FLOAT, tmp_path / "mix.wav")
    np.testing.assert_allclose(read_audio(tmp_path / "mix.wav")[0], stems["mixture"], atol=2e-6)


def test_the_names_in_an_archive_never_climb(job, stems):
    content = b"".join(stream_archive(job, WriteOptions("flac")))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["1 vocals.flac", "2 _drums.flac"]
        samples, _ = soundfile.read(io.BytesIO(archive.read("2 _drums.flac")))
    np.testing.assert_allclose(samples.T, stems["../drums"], atol=1e-6)
    assert not list(job.folder.glob(".soloist-*"))


def test_a_stem_file_has_the_mixture_and_all_stems(job, tmp_path):
    write_stems(job, WriteOptions("stem"), tmp_path / "song.stem.mp4")
    for stream in range(3):
        audio, rate = read_audio(tmp_path / "song.stem.mp4", stream=stream)
        assert audio.shape == (2, job.samples)
        assert rate == RATE


@pytest.mark.parametrize(
    ("text", "fader"),
    [
        ("vocals", Fader("vocals")),
        ("vocals,-20", Fader("vocals", -20.0)),
        ("a,b,-20,0.5", Fader("a,b", -20.0, 0.5)),
    ],
)
def test_a_fader_is_a_name_a_level_and_a_place(text, fader):
    assert Fader.parse(text) == fader


@pytest.mark.parametrize("text", ["vocals,loud", "vocals,13,0", "vocals,0,2", "vocals,nan,0"])
def test_wrong_faders_are_refused(text):
    with pytest.raises(UsageError):
        Fader.parse(text)


@given(st.text())
def test_a_plain_name_is_one_name_on_any_system(name):
    plain = plain_name(name)
    assert 1 <= len(plain) <= 100
    assert not set(plain) & set('/\\:*?"<>|\0\n')
    assert plain == plain.strip(" .")
    plain.encode()
