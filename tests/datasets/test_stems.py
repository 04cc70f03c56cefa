"""Corpora of stems on disk."""

import numpy as np
import pytest
import soundfile

from soloist.datasets import find_stem_tracks
from soloist.errors import AudioError, UsageError
from stem_corpora import RATE, noises, write_multi_stream, write_track


@pytest.fixture
def stems():
    return noises(("vocals", "drums", "bass", "other"), seconds=0.5, channels=2)


def test_a_folder_of_stem_files_is_one_track(tmp_path, stems):
    folder = write_track(tmp_path / "A song", stems)
    (track,) = find_stem_tracks(folder)
    opened = track.open()
    assert (track.name, opened.name) == ("A song", "A song")
    assert set(opened.stems) == set(stems)
    assert opened.mixture is None
    assert opened.sample_rate == RATE
    audio, rate = opened.stems["bass"].read()
    np.testing.assert_array_equal(audio, stems["bass"])
    assert rate == RATE


def test_the_mixture_of_bare_stems_is_their_sum_whatever_the_block(tmp_path, stems):
    track = find_stem_tracks(write_track(tmp_path / "song", stems))[0].open()
    for length in (1000, 65536):
        mixture = np.concatenate(list(track.mixture_blocks(length)), axis=1)
        np.testing.assert_allclose(mixture, np.sum(list(stems.values()), axis=0), atol=1e-6)


def test_a_mixture_file_is_the_mixture_and_no_stem(tmp_path, stems):
    recorded = 0.5 * stems["vocals"]
    track = find_stem_tracks(write_track(tmp_path / "song", {**stems, "mixture": recorded}))[0].open()
    assert "mixture" not in track.stems
    np.testing.assert_array_equal(np.concatenate(list(track.mixture_blocks()), axis=1), recorded)


def test_stems_of_different_lengths_have_no_sum(tmp_path, stems):
    stems["bass"] = stems["bass"][:, :-10]
    track = find_stem_tracks(write_track(tmp_path / "song", stems))[0].open()
    with pytest.raises(AudioError, match="song differ in length"):
        list(track.mixture_blocks())


def test_a_corpus_is_searched_at_any_depth_in_the_order_of_names(tmp_path, stems):
    write_track(tmp_path / "test" / "B", stems)
    write_track(tmp_path / "train" / "A", stems)
    write_track(tmp_path / "test" / ".hidden", stems)
    (tmp_path / "test" / "notes.txt").write_text("not audio")
    write_multi_stream(tmp_path / "test" / "C.stem.mp4", stems)
    assert [track.name for track in find_stem_tracks(tmp_path)] == ["test/B", "test/C", "train/A"]


def test_a_multi_stream_file_is_one_track(tmp_path, stems):
    write_multi_stream(tmp_path / "A - B.stem.mp4", stems)
    (track,) = find_stem_tracks(tmp_path / "A - B.stem.mp4")
    opened = track.open()
    assert opened.name == "A - B"
    assert list(opened.stems) == ["drums", "bass", "other", "vocals"]
    assert opened.mixture.stream == 0
    vocals, _ = opened.stems["vocals"].read()
    likeness = {name: np.corrcoef(vocals[0], audio[0])[0, 1] for name, audio in stems.items()}
    assert max(likeness, key=likeness.get) == "vocals"
    assert likeness["vocals"] > 0.5  # AAC of noise


def test_the_clip_of_musdb18_has_its_streams(shared):
    (track,) = find_stem_tracks(shared / "data/musdb-sample")
    opened = track.open()
    assert track.name == "Music Delta - 80s Rock"
    assert set(opened.stems) == {"vocals", "drums", "bass", "other"}
    audio, rate = opened.stems["vocals"].read()
    assert (audio.shape, rate) == ((2, 300032), 44100)


def test_what_is_no_corpus_is_said(tmp_path, stems):
    with pytest.raises(UsageError, match="there is no folder or file"):
        find_stem_tracks(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no folders of stems"):
        find_stem_tracks(tmp_path / "empty")


def test_a_track_that_cannot_be_opened_says_why_and_does_not_stop_the_listing(tmp_path, stems):
    write_track(tmp_path / "a twice", {"vocals": stems["vocals"]})
    soundfile.write(tmp_path / "a twice" / "vocals.flac", stems["vocals"].T, RATE)
    write_track(tmp_path / "b mixture only", {"mixture": stems["vocals"]})
    (tmp_path / "c.stem.mp4").write_bytes(b"nothing of the kind" * 100)
    twice, alone, damaged = find_stem_tracks(tmp_path)
    with pytest.raises(AudioError, match=r"two files for vocals: vocals\.flac, vocals\.wav"):
        twice.open()
    with pytest.raises(AudioError, match="has no stems, only a mixture"):
        alone.open()
    with pytest.raises(AudioError, match=r"c\.stem\.mp4"):
        damaged.open()
