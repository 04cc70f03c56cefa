"""Evaluation on a cluster of this machine: the scores of one process, resumed; a lethal track."""

from __future__ import annotations

import json

import pytest

from soloist.config.imports import IMPORTS, TRUST, import_code
from soloist.datasets import TrackPath, find_stem_tracks
from soloist.evaluation import Evaluation, EvaluationSettings, SystemSettings, check_system
from soloist.evaluation.track_evaluator import TrackEvaluator
from soloist.separators import build_separator
from soloist.zoo import save_model
from stem_corpora import noises, write_track

LETHAL = """
import os, signal
from soloist.separators import HPSS

class LethalHPSS(HPSS):
    def estimate(self, mixture):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def corpus(tmp_path):
    """Three tracks."""
    for number in range(3):
        write_track(tmp_path / f"corpus/song {number}", noises(("percussive", "harmonic"), seed=number))
    return tmp_path / "corpus"


def records(folder):
    """Records without what separating took."""
    found = {}
    for path in folder.rglob("test/*.json"):
        found[path.relative_to(folder).as_posix()] = content = json.loads(path.read_text())
        del content["soloist"]["cost"]
    return found


@pytest.mark.slow
def test_a_cluster_gives_the_scores_of_one_process_to_the_bit_and_goes_on(corpus, tmp_path):
    pytest.importorskip("ray")
    from soloist.cluster import RayEvaluation

    tracks = find_stem_tracks(corpus)
    alone, many = (EvaluationSettings(tmp_path / name, SystemSettings("cpu")) for name in ("alone", "many"))
    with Evaluation(tracks, alone) as evaluation:
        evaluation.run("oracle:irm1")
    with RayEvaluation(tracks, many, "local", 1) as evaluation:
        first = evaluation.run("oracle:irm1")
        again = evaluation.run("oracle:irm1")
    assert len(records(tmp_path / "alone")) == 3
    assert records(tmp_path / "many") == records(tmp_path / "alone")
    assert [each.resumed for each in (*first, *again)] == 3 * [False] + 3 * [True]
    assert len(list((tmp_path / "many").rglob("listen/*/*.mp3"))) == 5


@pytest.mark.slow
def test_a_track_at_which_the_process_dies_is_told_and_the_next_one_has_a_new_process(
    corpus, tmp_path, monkeypatch
):
    pytest.importorskip("ray")
    from soloist.cluster.ray_evaluation import TrackActor

    (tmp_path / "lethal_hpss.py").write_text(LETHAL)
    monkeypatch.setenv(IMPORTS, str(tmp_path / "lethal_hpss.py"))
    monkeypatch.setenv(TRUST, "1")
    import_code(str(tmp_path / "lethal_hpss.py"))
    config = {"class_path": "lethal_hpss.LethalHPSS"}
    # A folder in the working folder is a model by its name alone.
    monkeypatch.chdir(tmp_path)
    save_model(build_separator(config, "test"), config, {}, tmp_path / "model")
    assert check_system("model") == "model"
    (corpus / "empty").mkdir()
    settings = EvaluationSettings(tmp_path / "results", SystemSettings("cpu"))
    actor = TrackActor("model", TrackEvaluator("model", settings), 1)
    assert actor(TrackPath("song 0", corpus / "song 0")) is None
    assert "no stems" in actor(TrackPath("empty", corpus / "empty")).failure
