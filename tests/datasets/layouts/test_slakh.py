"""Slakh2100."""

import numpy as np
import pytest
import soundfile
import yaml

from soloist.datasets import Slakh2100
from soloist.errors import AudioError

RATE = 44100
INSTRUMENTS = {
    "S00": ("Guitar", True),
    "S01": ("Bass", True),
    "S02": ("Drums", True),
    "S03": ("Guitar", True),
    "S04": ("Strings (continued)", True),
    "S05": ("Strings", True),
    "S06": ("Sound effects", False),
}


@pytest.fixture
def players():
    """Audio of each instrument `(samples,)`, in steps of 16 bits."""
    rng = np.random.default_rng(0)
    return {
        number: (np.round(rng.uniform(-0.1, 0.1, 4000) * 2**15) / 2**15).astype(np.float32)
        for number, (_, rendered) in INSTRUMENTS.items()
        if rendered
    }


def write_song(folder, players):
    (folder / "stems").mkdir(parents=True)
    described = {
        number: {"inst_class": instrument, "audio_rendered": rendered, "is_drum": instrument == "Drums"}
        for number, (instrument, rendered) in INSTRUMENTS.items()
    }
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"UUID": "1a81ae", "stems": described}))
    for number, audio in players.items():
        soundfile.write(folder / "stems" / f"{number}.flac", audio, RATE)
    soundfile.write(folder / "mix.flac", np.sum(list(players.values()), axis=0), RATE)


def test_instruments_of_one_class_are_one_stem(tmp_path, players):
    write_song(tmp_path / "train" / "Track00001", players)
    (track,) = Slakh2100(tmp_path).tracks("train")
    assert track.name == "Track00001"
    assert set(track.stems) == {"bass", "drums", "guitar", "strings"}
    guitars, rate = track.stems["guitar"].read(0.01, 0.05)
    first, count = 441, 2205
    expected = (players["S00"] + players["S03"])[first : first + count]
    np.testing.assert_allclose(guitars[0], expected, atol=1e-6)
    assert rate == RATE
    np.testing.assert_allclose(
        track.stems["strings"].read()[0][0], players["S04"] + players["S05"], atol=1e-6
    )
    np.testing.assert_array_equal(track.stems["bass"].read()[0][0], players["S01"])


def test_the_stems_add_up_to_the_mixture(tmp_path, players):
    write_song(tmp_path / "test" / "Track02100", players)
    (track,) = Slakh2100(tmp_path).tracks("test")
    total = np.sum([stem.read()[0] for stem in track.stems.values()], axis=0)
    np.testing.assert_allclose(next(track.mixture_blocks()), total, atol=1e-6)


def test_splits_are_the_folders_that_are_there(tmp_path, players):
    for place in ("train/Track00002", "train/Track00001", "omitted/Track00003", "validation/Track01501"):
        write_song(tmp_path / place, players)
    corpus = Slakh2100(tmp_path)
    assert corpus.splits == ("train", "validation", "omitted")
    assert [track.name for track in corpus.tracks("train")] == ["Track00001", "Track00002"]


@pytest.mark.parametrize("text", ["stems: [", "UUID: 1", "stems: {S00: {}}", "stems: 3"])
def test_a_damaged_description_is_named(tmp_path, players, text):
    write_song(tmp_path / "train" / "Track00001", players)
    (tmp_path / "train" / "Track00001" / "metadata.yaml").write_text(text)
    with pytest.raises(AudioError, match=r"Track00001/metadata\.yaml is no description of stems"):
        Slakh2100(tmp_path).tracks("train")
