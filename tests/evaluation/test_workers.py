"""What the processes of an evaluation do, done in this one."""

import numpy as np
import pytest

from soloist.audio import read_audio
from soloist.datasets import TrackPath
from soloist.errors import UsageError
from soloist.evaluation import ScoreSettings, SystemSettings, make_system
from soloist.evaluation.listening_excerpts import choose_tracks, find_excerpts
from soloist.evaluation.scoring_workers import ScoringTask, Separated, score
from soloist.evaluation.systems import SystemEstimates
from stem_corpora import RATE, noises, spoiled, write_track


@pytest.fixture
def score_these(tmp_path):
    """Write a track and estimates of it, and score them as an evaluation does."""

    def run(references, estimates, *, ordered=True, heard=False):
        track = TrackPath("song", write_track(tmp_path / "song", references))
        folder = write_track(tmp_path / "estimates", estimates)
        files = {name: folder / f"{name}.wav" for name in estimates}
        separated = Separated(SystemEstimates(files, 0.5, "cpu", ordered), 300.0)
        results = tmp_path / "system" if heard else None
        return score(ScoringTask("system", track, separated, ScoreSettings(), {"device": "cpu"}, results))

    return run


def test_other_stems_add_up_to_the_accompaniment(score_these):
    references = noises()
    record = score_these(references, references)
    scores = {target.name: target for target in record.targets}
    assert set(scores) == {*references, "accompaniment"}
    assert scores["accompaniment"].whole["uSDR"] > 100
    assert (record.cost.elapsed, record.cost.peak_memory, record.settings) == (0.5, 300.0, {"device": "cpu"})


def test_the_rest_that_a_model_of_one_stem_leaves_is_scored_as_it_is(score_these):
    references = noises()
    rest = references["drums"] + references["bass"] + references["other"]
    record = score_these(references, {"vocals": references["vocals"], "accompaniment": 0.5 * rest})
    scores = {target.name: target for target in record.targets}
    assert set(scores) == {"vocals", "accompaniment"}
    assert scores["accompaniment"].whole["uSDR"] == pytest.approx(20 * np.log10(2), abs=1e-3)


def test_talkers_get_the_names_of_those_that_they_are(score_these, tmp_path):
    references = noises(("s1", "s2"))
    estimates = spoiled(references)
    record = score_these(
        references, {"speaker1": estimates["s2"], "speaker2": estimates["s1"]}, ordered=False, heard=True
    )
    assert [target.name for target in record.targets] == ["s1", "s2"]
    assert all(target.whole["SI-SDR"] > 10 for target in record.targets)
    excerpts = find_excerpts(tmp_path / "system")["song"]
    assert set(excerpts) == {"mixture", "reference-s1", "reference-s2", "estimate-s1", "estimate-s2"}


def test_more_talkers_than_estimates_cannot_be_scored(score_these):
    references = noises(("s1", "s2", "s3"))
    with pytest.raises(UsageError, match="2 estimates cannot be matched to 3 references"):
        score_these(references, {"a": references["s1"], "b": references["s2"]}, ordered=False)


def test_an_excerpt_is_where_all_sources_sound_and_keeps_their_proportions(score_these, tmp_path):
    references = noises(("vocals", "other"), seconds=25.0)
    references["vocals"][:, : 12 * RATE] = 0
    references["other"][:, 23 * RATE :] = 0
    score_these(references, {name: 0.5 * audio for name, audio in references.items()}, heard=True)
    files = find_excerpts(tmp_path / "system")["song"]
    audio = {name: read_audio(path)[0] for name, path in files.items()}
    assert {samples.shape for samples in audio.values()} == {(1, 10 * RATE)}
    for name in references:
        true, estimate = audio[f"reference-{name}"], audio[f"estimate-{name}"]
        # The second with the least sound in it, of the ten: noise has it throughout.
        loudness = np.sqrt(np.square(true.reshape(10, RATE)).mean(axis=1))
        assert loudness.min() > 0.5 * loudness.max()
        assert np.std(estimate) / np.std(true) == pytest.approx(0.5, abs=0.02)


def test_tracks_to_hear_are_spread_over_the_corpus():
    tracks = [TrackPath(f"song {index}", None) for index in range(10)]
    assert choose_tracks(tracks, 0) == set()
    assert choose_tracks(tracks, 1) == {"song 0"}
    assert choose_tracks(tracks, 3) == {"song 0", "song 4", "song 9"}
    assert choose_tracks(tracks[:2], 5) == {"song 0", "song 1"}


@pytest.mark.parametrize("kind", ["ibm", "irm1", "mwf", "silence"])
def test_an_oracle_writes_every_stem_and_the_accompaniment(tmp_path, kind):
    stems = noises(("vocals", "drums", "other"), channels=2)
    track = TrackPath("song", write_track(tmp_path / "song", stems)).open()
    separation = make_system(f"oracle:{kind}", SystemSettings("cpu"), tmp_path / "work").separate(track)
    assert set(separation.files) == {*stems, "accompaniment"}
    estimates = {name: read_audio(path)[0] for name, path in separation.files.items()}
    if kind == "silence":
        assert not any(audio.any() for audio in estimates.values())
    else:
        for name, audio in stems.items():
            assert np.corrcoef(estimates[name].ravel(), audio.ravel())[0, 1] > 0.6
        total = sum(estimates[name] for name in stems)
        np.testing.assert_allclose(total, np.sum(list(stems.values()), axis=0), atol=1e-3)


def test_a_model_of_one_stem_gives_its_complement(shared, tmp_path, monkeypatch):
    from soloist.zoo import import_checkpoint

    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    model = import_checkpoint(shared / "weights/cac_tdc_17_vocals_top3.pt")
    stems = noises(("vocals", "other"), seconds=0.5, channels=2)
    track = TrackPath("song", write_track(tmp_path / "song", stems)).open()
    separation = make_system(str(model), SystemSettings("cpu"), tmp_path / "work").separate(track)
    assert set(separation.files) == {"vocals", "accompaniment"}
    total = sum(read_audio(path)[0] for path in separation.files.values())
    np.testing.assert_allclose(total, stems["vocals"] + stems["other"], atol=1e-5)
