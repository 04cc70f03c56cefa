"""MUSDB18 and MUSDB18-HQ."""

import numpy as np
import pytest
import soundfile

from soloist.datasets import MUSDB18, MUSDB18HQ
from soloist.datasets.layouts.musdb import STEMS, VALIDATION
from soloist.errors import AudioError
from stem_corpora import noises, write_multi_stream, write_track

HELD_OUT = "Meaxic - Take A Step"


@pytest.fixture
def stems():
    return noises(seconds=0.2, channels=2)


def names(corpus, split):
    return [track.name for track in corpus.tracks(split)]


def test_fourteen_tracks_validate():
    assert len(VALIDATION) == 14


def test_musdb18_has_a_stream_for_each_stem(tmp_path, stems):
    for path in ("train/A - One", f"train/{HELD_OUT}", "test/B - Two"):
        write_multi_stream(tmp_path / f"{path}.stem.mp4", stems)
    corpus = MUSDB18(tmp_path)
    assert corpus.splits == ("train", "valid", "test")
    assert [names(corpus, split) for split in corpus.splits] == [["A - One"], [HELD_OUT], ["B - Two"]]
    (track,) = corpus.tracks("test")
    assert tuple(track.stems) == STEMS
    for name, audio in stems.items():
        read, _ = track.stems[name].read()
        likeness = {other: abs(np.corrcoef(read[0], audio[0])[0, 1]) for other, audio in stems.items()}
        assert max(likeness, key=likeness.get) == name
    mixture = np.concatenate(list(track.mixture_blocks()), axis=1)
    assert np.corrcoef(mixture[0], np.sum(list(stems.values()), axis=0)[0])[0, 1] > 0.5


def test_musdb18_of_which_a_part_is_there(tmp_path, stems):
    write_multi_stream(tmp_path / "test" / "B - Two.stem.mp4", stems)
    assert not MUSDB18(tmp_path).find("train")
    assert names(MUSDB18(tmp_path), "test") == ["B - Two"]


def test_the_clip_of_musdb18(shared, tmp_path):
    (tmp_path / "train").symlink_to(shared / "data/musdb-sample")
    (track,) = MUSDB18(tmp_path).tracks("train")
    assert track.name == "Music Delta - 80s Rock"
    audio, rate = track.stems["vocals"].read(1.0, 2.0)
    assert (audio.shape, rate) == ((2, 88200), 44100)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_musdb18_hq_has_a_file_for_each_stem(tmp_path, stems, suffix):
    whole = {**stems, "mixture": np.sum(list(stems.values()), axis=0)}
    for path in ("train/A - One", f"train/{HELD_OUT}", "test/B - Two"):
        (tmp_path / path).mkdir(parents=True)
        for name, audio in whole.items():
            soundfile.write(tmp_path / path / f"{name}.{suffix}", audio.T, 44100)
    (tmp_path / "train" / "notes").mkdir()
    corpus = MUSDB18HQ(tmp_path)
    assert [names(corpus, split) for split in corpus.splits] == [["A - One"], [HELD_OUT], ["B - Two"]]
    (track,) = corpus.tracks("valid")
    assert tuple(track.stems) == STEMS
    np.testing.assert_allclose(track.stems["bass"].read()[0], stems["bass"], atol=2**-15)
    np.testing.assert_allclose(next(track.mixture_blocks()), whole["mixture"], atol=2**-15)


def test_a_missing_stem_of_musdb18_hq_is_told_when_it_is_read(tmp_path, stems):
    del stems["bass"]
    write_track(tmp_path / "test" / "B - Two", {**stems, "mixture": stems["vocals"]})
    (track,) = MUSDB18HQ(tmp_path).tracks("test")
    with pytest.raises(AudioError, match=r"bass\.wav does not exist"):
        track.stems["bass"].read()
