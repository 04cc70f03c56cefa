"""Estimates on disk beside their references."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from soloist.datasets import TrackPath
from soloist.errors import AudioError, UsageError
from soloist.evaluation.matching import load_pair, match_tracks
from stem_corpora import RATE, noises, spoiled, write_track

STEMS = noises(("vocals", "drums", "bass"), seconds=0.5)


@pytest.fixture
def load(tmp_path):
    """Write references and estimates, and load them as a pair."""

    def load_these(estimates, references=STEMS, rate=RATE, **options):
        paths = [
            TrackPath("song", write_track(tmp_path / "references", references)),
            TrackPath("song", write_track(tmp_path / "estimates", estimates, rate)),
        ]
        return load_pair(*(path.open() for path in paths), **options)

    return load_these


def test_what_fits_is_loaded_without_a_word(load):
    loaded = load(spoiled(STEMS))
    assert set(loaded.estimates) == set(STEMS)
    assert (loaded.sample_rate, loaded.duration) == (RATE, 0.5)
    assert not loaded.notes
    assert not loaded.refused


def test_a_missing_stem_is_noted_and_the_rest_is_loaded(load):
    loaded = load({name: STEMS[name] for name in ("vocals", "bass")})
    assert set(loaded.estimates) == {"vocals", "bass"}
    assert set(loaded.references) == set(STEMS)
    assert loaded.notes == ["drums: no estimate"]


def test_an_extra_stem_is_noted_and_left_out(load):
    loaded = load({**STEMS, "piano": STEMS["bass"]})
    assert set(loaded.estimates) == set(STEMS)
    assert loaded.notes == ["piano: no reference of this name, not scored"]


def test_a_union_counts_for_its_stems(load):
    loaded = load({"vocals": STEMS["vocals"], "accompaniment": STEMS["drums"] + STEMS["bass"]})
    assert set(loaded.estimates) == {"vocals", "accompaniment"}
    assert not loaded.notes


@pytest.mark.parametrize("difference", [-700, -1, 1, 700])
def test_a_few_samples_more_or_less_are_cut_or_padded_and_told(load, difference):
    estimates = dict(STEMS)
    longer = np.pad(STEMS["bass"], ((0, 0), (0, 1000)), constant_values=0.5)
    estimates["bass"] = longer[:, : STEMS["bass"].shape[1] + difference]
    loaded = load(estimates)
    assert loaded.estimates["bass"].shape == STEMS["bass"].shape
    assert (loaded.estimates["bass"][0, -1] == 0) == (difference < 0)
    (note,) = loaded.notes
    assert f"bass: {abs(difference)} samples {'longer' if difference > 0 else 'shorter'}" in note


@pytest.mark.parametrize("samples", [-1000, 1000])
def test_another_length_is_refused_and_the_rest_is_loaded(load, samples):
    bass = np.pad(STEMS["bass"], ((0, 0), (0, 1000)))[:, : STEMS["bass"].shape[1] + samples]
    loaded = load({**STEMS, "bass": bass})
    assert set(loaded.estimates) == {"vocals", "drums"}
    (reason,) = loaded.refused
    assert reason == f"bass: it lasts {0.5 + samples / RATE:.3f} s, its reference 0.500 s"


def test_another_channel_count_is_refused(load):
    loaded = load({**STEMS, "bass": np.repeat(STEMS["bass"], 2, axis=0)})
    assert loaded.refused == ["bass: it has 2 channel(s), the references 1"]


def test_a_sample_that_is_no_number_is_refused_and_the_rest_is_loaded(load):
    bass = STEMS["bass"].copy()
    bass[0, 100] = np.nan
    loaded = load({**STEMS, "bass": bass})
    assert set(loaded.estimates) == {"vocals", "drums"}
    assert "bass.wav has a sample that is not a number" in loaded.refused[0]


def test_another_rate_is_refused_and_where_nothing_is_left_the_track_fails(load):
    with pytest.raises(AudioError, match=r"song: no estimate can be scored .*its rate is 16000 Hz"):
        load(STEMS, rate=16000)


def test_a_damaged_estimate_is_refused_and_the_rest_is_loaded(load, tmp_path):
    write_track(tmp_path / "estimates", STEMS)
    (tmp_path / "estimates" / "bass.wav").write_bytes(b"RIFF nothing")
    loaded = load({name: STEMS[name] for name in ("vocals", "drums")})
    assert set(loaded.estimates) == {"vocals", "drums"}
    assert "bass.wav" in loaded.refused[0]


def test_references_that_differ_fail_the_track(load):
    with pytest.raises(AudioError, match="references of song have different lengths"):
        load(STEMS, references={**STEMS, "bass": STEMS["bass"][:, :-1]})


def test_talkers_need_no_names(load):
    loaded = load({"a": STEMS["vocals"], "b": STEMS["drums"], "c": STEMS["bass"]}, by_name=False)
    assert list(loaded.estimates) == ["a", "b", "c"]
    assert not loaded.notes


def _paths(*names):
    return [TrackPath(name, Path(name)) for name in names]


def test_tracks_are_matched_by_name():
    pairs, missing, extra = match_tracks(_paths("a", "b", "c"), _paths("b", "c", "d"))
    assert [(reference.name, estimate.name) for reference, estimate in pairs] == [("b", "b"), ("c", "c")]
    assert (missing, extra) == (["a"], ["d"])


def test_one_track_on_either_side_needs_no_name():
    pairs, missing, extra = match_tracks(_paths("a"), _paths("x"))
    assert [(reference.name, estimate.name) for reference, estimate in pairs] == [("a", "x")]
    assert not missing
    assert not extra


def test_folders_that_have_nothing_in_common_are_refused():
    with pytest.raises(UsageError, match="no track has both"):
        match_tracks(_paths("a", "b"), _paths("x"))


def test_an_estimate_in_another_container_is_taken(load, tmp_path):
    folder = write_track(tmp_path / "estimates", {"vocals": STEMS["vocals"]})
    soundfile.write(folder / "bass.flac", STEMS["bass"].T, RATE, subtype="PCM_24")
    loaded = load({"drums": STEMS["drums"]})
    np.testing.assert_allclose(loaded.estimates["bass"], STEMS["bass"], atol=1e-6)
