"""Folders of stems."""

import numpy as np
import pytest

from soloist.datasets import StemFolders
from soloist.errors import AudioError, ConfigError, UsageError
from stem_corpora import noises, write_multi_stream, write_track


@pytest.fixture
def stems():
    return noises(seconds=0.2, channels=2)


def names(corpus, split):
    return [track.name for track in corpus.tracks(split)]


def test_without_folders_of_splits_there_is_one(tmp_path, stems):
    write_track(tmp_path / "b", stems)
    write_track(tmp_path / "album" / "a", stems)
    corpus = StemFolders(tmp_path)
    assert corpus.splits == ("all",)
    assert names(corpus, "all") == ["album/a", "b"]


def test_folders_of_splits_are_splits_and_no_part_of_the_names(tmp_path, stems):
    write_track(tmp_path / "train" / "a", stems)
    write_track(tmp_path / "test" / "b", {**stems, "mixture": stems["vocals"]})
    write_multi_stream(tmp_path / "test" / "c.stem.mp4", stems)
    corpus = StemFolders(tmp_path)
    assert corpus.splits == ("train", "test")
    assert names(corpus, "train") == ["a"]
    assert names(corpus, "test") == ["b", "c"]
    mixtures = [track.mixture is not None for track in corpus.tracks("test")]
    assert mixtures == [True, True]


def test_splits_by_expressions_match_whole_names(tmp_path, stems):
    for name in ("ab", "abc", "train/x"):
        write_track(tmp_path / name, stems)
    corpus = StemFolders(tmp_path, splits={"short": "ab", "long": "abc|train/.*"})
    assert corpus.splits == ("short", "long")
    assert names(corpus, "short") == ["ab"]
    assert names(corpus, "long") == ["abc", "train/x"]


def test_what_is_wrong_is_said(tmp_path, stems):
    with pytest.raises(UsageError, match="there is no folder"):
        StemFolders(tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"'\(' is not a regular expression"):
        StemFolders(tmp_path, splits={"all": "("})
    write_track(tmp_path / "song", stems)
    with pytest.raises(UsageError, match="no split 'train'; it has all"):
        StemFolders(tmp_path).tracks("train")
    with pytest.raises(UsageError, match="no recordings of the split 'none'"):
        StemFolders(tmp_path, splits={"none": "x"}).tracks("none")
    write_track(tmp_path / "mixture only", {"mixture": stems["vocals"]})
    with pytest.raises(AudioError, match="has no stems"):
        StemFolders(tmp_path).tracks("all")


def test_songs_are_split_and_read_by_seeking(shared):
    splits = {"train": "(?!lithium$).*", "test": "lithium"}
    corpus = StemFolders(shared / "data/songs", splits=splits)
    assert names(corpus, "train") == ["caesium", "hydrogen", "potassium", "sodium"]
    (lithium,) = corpus.tracks("test")
    assert lithium.mixture is None
    excerpt, rate = lithium.stems["vocals"].read(100.0, 1.0)
    assert (excerpt.shape, rate) == ((2, 44100), 44100)
    assert np.abs(excerpt).max() > 0.01
