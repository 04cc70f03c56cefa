"""Scores of a track in memory."""

import numpy as np
import pytest

from soloist.errors import UsageError
from soloist.evaluation import ScoreSettings, score_estimates
from soloist.evaluation.records import FRAME_METRICS
from soloist.evaluation.scoring import match_by_quality
from stem_corpora import RATE, noises, spoiled


def _by_name(scores):
    return {score.name: score for score in scores}


def test_scores_come_in_windows_and_for_the_whole_track():
    references = noises()
    scores = score_estimates(references, spoiled(references), RATE, ScoreSettings(window=0.5, hop=0.5))
    assert [score.name for score in scores] == list(references)
    for score in scores:
        assert {metric: len(values) for metric, values in score.frames.items()} == dict.fromkeys(
            FRAME_METRICS, 4
        )
        assert np.isfinite([score.frames[metric] for metric in FRAME_METRICS]).all()
        assert score.whole["uSDR"] == pytest.approx(np.median(score.frames["SDR"]), abs=1.0)


def test_the_sdr_is_that_of_its_definition():
    references = noises(("vocals", "other"))
    estimates = spoiled(references)
    (score, _) = score_estimates(references, estimates, RATE, ScoreSettings(window=2.0, hop=2.0))
    signal, error = references["vocals"], estimates["vocals"] - references["vocals"]
    expected = 10 * np.log10(np.square(signal, dtype=float).sum() / np.square(error, dtype=float).sum())
    assert score.frames["SDR"] == [pytest.approx(expected, abs=1e-4)]
    assert score.whole["uSDR"] == pytest.approx(expected, abs=1e-4)


def test_the_scores_of_one_estimate_do_not_depend_on_which_others_there_are():
    references = noises()
    estimates = spoiled(references)
    all_of_them = _by_name(score_estimates(references, estimates, RATE))
    (alone,) = score_estimates(references, {"bass": estimates["bass"]}, RATE)
    silenced = {**estimates, "drums": np.zeros_like(estimates["drums"])}
    beside_silence = _by_name(score_estimates(references, silenced, RATE))
    for metric in FRAME_METRICS:
        np.testing.assert_allclose(alone.frames[metric], all_of_them["bass"].frames[metric], atol=1e-9)
        np.testing.assert_allclose(
            beside_silence["bass"].frames[metric], all_of_them["bass"].frames[metric], atol=1e-9
        )
        assert np.isnan(beside_silence["drums"].frames[metric]).all()


def test_a_union_is_scored_against_the_sum_of_its_stems():
    references = noises()
    perfect = references["drums"] + references["bass"] + references["other"]
    half = {"vocals": references["vocals"], "accompaniment": 0.5 * perfect}
    scores = _by_name(score_estimates(references, half, RATE))
    np.testing.assert_allclose(scores["accompaniment"].frames["SDR"], 20 * np.log10(2), atol=1e-3)


def test_a_silent_reference_costs_nobody_else_the_scores():
    references = noises()
    estimates = spoiled(references)
    references["vocals"] = np.zeros_like(references["vocals"])
    scores = _by_name(score_estimates(references, estimates, RATE))
    assert np.isnan([scores["vocals"].frames[metric] for metric in FRAME_METRICS]).all()
    for name in ("drums", "bass", "other"):
        assert np.isfinite([scores[name].frames[metric] for metric in FRAME_METRICS]).all()


def test_talkers_are_matched_by_quality():
    references = noises(("s1", "s2"))
    estimates = spoiled(references)
    swapped = {"s1": estimates["s2"], "s2": estimates["s1"]}
    found = match_by_quality(references, {"a": swapped["s1"], "b": swapped["s2"]})
    assert found.keys() == references.keys()
    assert all(found[name] is estimates[name] for name in references)


def test_what_does_not_fit_is_refused():
    references = noises(("s1", "s2"))
    with pytest.raises(UsageError, match="one shape"):
        score_estimates(references, {"s1": references["s1"][:, :-1]}, RATE)
    with pytest.raises(UsageError, match="1 estimates cannot be matched to 2 references"):
        match_by_quality(references, {"s1": references["s1"]})
    with pytest.raises(UsageError, match="longer than 0 s"):
        ScoreSettings(window=0.0)
