"""Folders of one's own: what is found in them, what is held out, and stems that are the rest of a mixture."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soloist.datasets import AlignedPairs, ClipFolder, StemFolders, survey_folder
from soloist.errors import UsageError
from soloist.training import describe_survey

RATE = 8000


def write(path: Path, seed: int, *, channels: int = 1, rate: int = RATE, samples: int = 400) -> np.ndarray:
    """Write noise, and give it `(channels, samples)`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = np.random.default_rng(seed).uniform(-0.3, 0.3, (samples, channels)).astype(np.float32)
    soundfile.write(path, audio, rate, subtype="FLOAT")
    return audio.T


def rewrite(path: Path, audio: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio.T, RATE, subtype="FLOAT")


def names(survey, kind):
    corpus = survey.layout(survey.root, **survey.arguments)
    return [track.name for track in corpus.tracks(survey.splits[kind])]


def test_stems_of_any_names_with_some_missing(tmp_path):
    for song in range(10):
        for number, stem in enumerate(("erhu", "pipa", "dizi")):
            if (song, stem) != (3, "dizi"):
                write(tmp_path / f"song {song} (live)" / f"{stem}.wav", 10 * song + number, channels=2)
    survey = survey_folder(tmp_path)
    assert (survey.layout, survey.tracks, survey.channels, survey.sample_rate) == (StemFolders, 10, 2, RATE)
    assert sorted(survey.sources) == ["dizi", "erhu", "pipa"]
    assert survey.missing == {"dizi": 1}
    assert survey.hours == pytest.approx(10 * 400 / RATE / 3600)
    held = [*survey.held_out["valid"], *survey.held_out["test"]]
    assert len(set(held)) == 2
    assert names(survey, "valid") == survey.held_out["valid"]
    assert names(survey, "test") == survey.held_out["test"]
    assert set(names(survey, "train")) == {f"song {song} (live)" for song in range(10)} - set(held)


def test_only_whole_tracks_are_held_out(tmp_path):
    for song in range(5):
        for number, stem in enumerate(("erhu", "pipa")):
            if (song, stem) not in ((0, "erhu"), (2, "pipa")):
                write(tmp_path / f"song {song}" / f"{stem}.wav", 10 * song + number)
    (tmp_path / "song 3" / "pipa.wav").write_bytes(b"RIFF nothing")
    survey = survey_folder(tmp_path)
    assert survey.missing == {"erhu": 1, "pipa": 1}
    assert list(survey.damaged) == ["song 3"]
    assert survey.held_out == {"valid": ["song 1"], "test": ["song 4"]}
    told = describe_survey(survey)
    assert told[0].startswith("5 tracks with stems, ")
    assert "pipa is missing in 1 track, where it is silent" in told
    assert "damaged: song 3 (soloist data check tells more)" in told


def test_sounds_that_are_held_out_are_of_two_labels(tmp_path):
    for event, takes in (("bark", 4), ("rain", 4), ("wind", 2)):
        for take in range(takes):
            write(tmp_path / event / f"{event}{take}.wav", take, samples=8000 + 2000 * take)
    survey = survey_folder(tmp_path)
    assert (survey.layout, survey.labels) == (ClipFolder, 3)
    for kind in ("valid", "test"):
        assert {name.split("/")[0] for name in survey.held_out[kind]} == {"bark", "rain"}
    (tmp_path / "rain" / "rain3.wav").unlink()
    (tmp_path / "rain" / "rain2.wav").unlink()
    assert not survey_folder(tmp_path).held_out


def test_splits_of_the_folder_are_taken_as_they_are(tmp_path):
    for number, split in enumerate(("train", "val", "test")):
        for stem in ("bass", "vocals"):
            write(tmp_path / split / f"song{number}" / f"{stem}.wav", number)
    survey = survey_folder(tmp_path)
    assert survey.splits == {"train": "train", "valid": "val", "test": "test"}
    assert not survey.held_out
    assert [names(survey, kind) for kind in survey.splits] == [["song0"], ["song1"], ["song2"]]


@pytest.mark.parametrize("pattern", ["{talker}/{take}.wav", "set/{talker}/{take}.wav", "{talker}-{take}.wav"])
def test_talkers_are_folders_or_the_beginnings_of_names(tmp_path, pattern):
    for talker in range(30):
        for take in range(2):
            number = 2 * talker + take
            path = tmp_path / pattern.format(talker=f"t{talker:02}", take=number)
            write(path, number, samples=8000 + 997 * number)
    survey = survey_folder(tmp_path)
    assert (survey.layout, survey.tracks, survey.labels, survey.sources) == (ClipFolder, 60, 30, ())
    corpus = ClipFolder(tmp_path, **survey.arguments)
    heard = {kind: {track.labels[0] for track in corpus.tracks(kind)} for kind in ("train", "valid", "test")}
    assert heard["valid"] == set(survey.held_out["valid"])
    assert [len(labels) for labels in heard.values()] == [24, 3, 3]
    assert not heard["train"] & (heard["valid"] | heard["test"])


def test_of_few_classes_files_are_held_out(tmp_path):
    for event in ("bark", "rain"):
        for take in range(10):
            write(tmp_path / event / f"{event}{take} [a].wav", take, samples=8000 + 2000 * take)
    survey = survey_folder(tmp_path)
    assert survey.labels == 2
    assert len(survey.held_out["valid"]) == len(survey.held_out["test"]) == 2
    assert sorted(f"{name}.wav" for name in names(survey, "valid")) == sorted(survey.held_out["valid"])
    assert len(names(survey, "train")) == 16


@pytest.mark.parametrize(("stem", "rest"), [("vocals", "accompaniment"), ("flute", "rest")])
def test_of_mixtures_and_one_stem_the_difference_is_the_rest(tmp_path, stem, rest):
    parts = []
    for song in range(4):
        folder = tmp_path / f"song{song}"
        own = write(folder / f"{stem}.wav", song)
        other = np.random.default_rng(99 + song).uniform(-0.3, 0.3, (1, 500)).astype(np.float32)
        rewrite(folder / "mixture.wav", np.pad(own, ((0, 0), (0, 100))) + other)
        parts.append(other)
    survey = survey_folder(tmp_path)
    assert survey.sources == (stem, rest)
    corpus = StemFolders(tmp_path, rest=rest)
    for track, other in zip(corpus.tracks("all"), parts, strict=True):
        sound = track.stems[rest]
        np.testing.assert_allclose(sound.read()[0], other, atol=1e-6)
        np.testing.assert_allclose(sound.read(0.01, 0.02)[0], other[:, 80:240], atol=1e-6)
        np.testing.assert_allclose(sound.read(0.055, 1.0)[0], other[:, 440:], atol=1e-6)
        np.testing.assert_allclose(np.concatenate(list(sound.blocks(90)), axis=1), other, atol=1e-6)
        assert (sound.duration, sound.sample_rate) == (500 / RATE, RATE)


def test_the_rest_is_as_long_as_the_mixture(tmp_path):
    long = write(tmp_path / "song" / "vocals.wav", 0, samples=600)
    rewrite(tmp_path / "song" / "mixture.wav", 0.5 * long[:, :400])
    rest = StemFolders(tmp_path, rest="rest").tracks("all")[0].stems["rest"]
    assert np.concatenate(list(rest.blocks(150)), axis=1).shape == (1, 400)
    np.testing.assert_allclose(rest.read()[0], -0.5 * long[:, :400], atol=1e-6)


def test_aligned_pairs_are_a_clean_sound_and_what_was_added(tmp_path):
    for number in range(5):
        dry = write(tmp_path / "clean" / f"{number}.wav", number)
        rewrite(tmp_path / "noisy" / f"{number}.wav", dry + 0.25)
    write(tmp_path / "noisy" / "alone.wav", 9)
    survey = survey_folder(tmp_path)
    assert (survey.layout, survey.sources, survey.tracks) == (AlignedPairs, ("clean", "rest"), 5)
    track = AlignedPairs(tmp_path).tracks("all")[0]
    np.testing.assert_allclose(track.stems["rest"].read()[0], 0.25, atol=1e-6)
    with pytest.raises(UsageError, match="no folder 'dry'; there are clean, noisy"):
        AlignedPairs(tmp_path, source="dry")


def test_what_holds_nothing_of_the_kind_is_told(tmp_path):
    write(tmp_path / "a" / "song.wav", 0)
    with pytest.raises(UsageError, match=f"^{re.escape(str(tmp_path))}"):
        survey_folder(tmp_path)
    with pytest.raises(UsageError, match=r"song\.wav is a file: name the folder"):
        survey_folder(tmp_path / "a" / "song.wav")
    with pytest.raises(UsageError, match="there is no folder"):
        survey_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("folder", "expected"), [("songs", (5, 0, 44100, 2)), ("speech", (251, 251, 16000, 1))]
)
def test_real_folders_are_understood(shared, folder, expected):
    survey = survey_folder(shared / "data" / folder)
    assert (survey.tracks, survey.labels, survey.sample_rate, survey.channels) == expected
