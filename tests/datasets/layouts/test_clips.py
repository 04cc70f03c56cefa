"""Folders of single sounds with labels in their paths."""

from __future__ import annotations

import pytest
import soundfile

from soloist.datasets import ClipFolder
from soloist.errors import ConfigError, UsageError
from soloist.mixing import ClipMixer
from stem_corpora import RATE, noises

DIGITS = r"(?P<digit>\d)_(?P<speaker_name>[a-z]+)_(?P<take>\d+)\.wav"


@pytest.fixture
def recordings(tmp_path):
    names = ["0_anna_0.wav", "0_anna_1.wav", "0_ben_0.wav", "1_cleo_0.wav", "dora/0.wav", "dora/deep/1.flac"]
    for seed, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (noise,) = noises(("clip",), seconds=0.1, seed=seed).values()
        soundfile.write(path, noise.T, RATE)
    (tmp_path / "dora" / "notes.txt").write_text("no sound")
    return tmp_path


def test_who_talks_is_the_folder_by_default(recordings):
    corpus = ClipFolder(recordings)
    assert corpus.splits == ("all",)
    found = {track.name: track.labels for track in corpus.tracks("all")}
    assert found == {"dora/0": ("dora",), "dora/deep/1": ("deep",)}


def test_a_pattern_says_who_talks_and_what_belongs_to_the_corpus(recordings):
    tracks = ClipFolder(recordings, DIGITS).tracks("all")
    assert [track.name for track in tracks] == ["0_anna_0", "0_anna_1", "0_ben_0", "1_cleo_0"]
    assert [track.labels[0] for track in tracks] == ["anna", "anna", "ben", "cleo"]
    assert [list(track.stems) for track in tracks] == [["speaker_name"]] * 4
    assert [track.labels for track in ClipFolder(recordings, DIGITS, "digit").tracks("all")][-1] == ("1",)


def test_splits_are_made_of_what_paths_say(recordings):
    splits = {"train": {"speaker_name": "anna|ben", "take": "0"}, "valid": {"speaker_name": "cleo"}}
    corpus = ClipFolder(recordings, DIGITS, splits=splits)
    assert [track.name for track in corpus.tracks("train")] == ["0_anna_0", "0_ben_0"]
    assert [track.name for track in corpus.tracks("valid")] == ["1_cleo_0"]
    with pytest.raises(UsageError, match="has no split 'test'; it has train, valid"):
        corpus.tracks("test")


def test_what_is_wrong_is_said(recordings, tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        ClipFolder(tmp_path / "absent")
    with pytest.raises(UsageError, match="no recordings of the split 'all'"):
        ClipFolder(recordings, r"(?P<speaker_name>x)\.wav").tracks("all")
    with pytest.raises(ConfigError, match=r"has no group 'class': write \(\?P<class>"):
        ClipFolder(recordings, DIGITS, "class")
    with pytest.raises(ConfigError, match="has no group 'fold'"):
        ClipFolder(recordings, DIGITS, splits={"train": {"fold": "1"}})
    with pytest.raises(ConfigError, match="is not a regular expression"):
        ClipFolder(recordings, "(")


def test_the_spoken_digits(shared):
    splits = {"train": {"take": r"[5-9]|[1-4]\d"}, "test": {"take": "[0-4]"}}
    corpus = ClipFolder(shared / "data/fsdd/recordings", DIGITS, splits=splits)
    train, test = corpus.tracks("train"), corpus.tracks("test")
    assert (len(train), len(test)) == (2700, 300)
    talkers = {"george", "jackson", "lucas", "nicolas", "theo", "yweweler"}
    assert {track.labels[0] for track in train} == {track.labels[0] for track in test} == talkers
    assert {track.sample_rate for track in test} == {8000}
    mixer = ClipMixer(corpus, "test", sources=["talker1", "talker2"], sample_rate=8000, duration=1.0)
    for index in range(20):
        first, second = (name.split("_")[1] for name in mixer.draw(index).name.split(" + "))
        assert first != second


def test_environmental_sounds_in_a_folder_for_each_class(shared):
    pattern = r"(?P<category>[^/]+)/(?P<fold>\d)-(?P<clip>\d+)-(?P<take>[A-Z])\.ogg"
    splits = {"train": {"fold": "[123]"}, "valid": {"fold": "4"}}
    corpus = ClipFolder(shared / "data/esc10", pattern, "category", splits)
    train, valid = corpus.tracks("train"), corpus.tracks("valid")
    assert len(train) + len(valid) == 318
    assert {track.labels[0] for track in train} == {track.labels[0] for track in valid}
    assert len({track.labels[0] for track in train}) == 10
    assert all(track.name.split("/")[1].startswith("4-") for track in valid)
    mixer = ClipMixer(corpus, "valid", sources=["sound1", "sound2"], sample_rate=8000)
    first, second = (name.split("/")[0] for name in mixer.draw(0).name.split(" + "))
    assert first != second
