"""Options of `soloist score`: several systems, parts of tracks, metrics of one's own, JSON, jobs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stem_corpora import noises, spoiled, write_track

STEMS = ("vocals", "other")

OWN = """
from soloist.metrics import Metric


class MeanDistance(Metric):
    higher_is_better = False

    def __init__(self, sample_rate):
        assert sample_rate in (8000, 16000)

    def __call__(self, references, estimates, mixture):
        return (estimates - references).abs().mean(dim=(-2, -1))
"""


@pytest.fixture
def corpus(tmp_path):
    """References of two tracks, with estimates of a good and of a bad system."""
    for index in range(2):
        references = noises(STEMS, seconds=2, seed=index)
        bad = {name: 0.25 * stem for name, stem in references.items()}
        write_track(tmp_path / "references" / f"song {index}", references)
        write_track(tmp_path / "good" / f"song {index}", spoiled(references))
        write_track(tmp_path / "bad" / f"song {index}", bad)
    return tmp_path


def score(soloist, folder, *options, systems=("good",)):
    result = soloist("score", folder / "references", *(folder / name for name in systems), "--json", *options)
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_several_systems_are_scored_in_one_call(soloist, corpus):
    rows = score(soloist, corpus, "-o", corpus / "results", "--jobs", 2, systems=("good", "bad"))
    assert [(row["system"], row["track"], row["target"]) for row in rows] == [
        (system, f"song {index}", target)
        for system in ("good", "bad")
        for index in range(2)
        for target in ("other", "vocals")
    ]
    assert all(row["uSDR"] == pytest.approx(20 * np.log10(4 / 3), abs=0.01) for row in rows[4:])
    table = (corpus / "results" / "table.md").read_text()
    assert [line.split()[1:4:2] for line in table.splitlines()[2:]] == [
        [target, system] for target in ("vocals", "other") for system in ("good", "bad", "(mixture)")
    ]
    alone = score(soloist, corpus)
    assert rows[:4] == alone


def test_a_part_of_each_track_is_scored(soloist, corpus):
    whole, part = score(soloist, corpus), score(soloist, corpus, "--start", 0.5, "--duration", 1)
    assert {row["duration"] for row in part} == {1.0}
    assert all(one["uSDR"] != other["uSDR"] for one, other in zip(whole, part, strict=True))
    result = soloist("score", corpus / "references", corpus / "good", "--start", 9)
    assert result.code == 1
    assert "end before 9.000 s: they last 2.000 s" in result.err


def test_a_metric_of_ones_own_is_a_column(soloist, corpus):
    (corpus / "distances.py").write_text(OWN)
    options = ("--import", corpus / "distances.py", "--metrics", "distances.MeanDistance")
    rows = score(soloist, corpus, *options, systems=("bad",))
    for row in rows:
        references = noises(STEMS, seconds=2, seed=int(row["track"][-1]))
        assert row["MeanDistance"] == pytest.approx(0.75 * np.abs(references[row["target"]]).mean(), rel=1e-3)


def test_metrics_have_names(soloist, corpus):
    metrics = ("--metrics", "usdri, SDR,sd-sdr", "-o", corpus / "results")
    rows = score(soloist, corpus, *metrics, systems=("bad",))
    assert {"uSDRi", "SD-SDR", "uSDR"} < set(rows[0])
    for row in rows:
        references = noises(STEMS, seconds=2, seed=int(row["track"][-1]))
        stem = references[row["target"]].astype(float)
        mixture = np.sum(list(references.values()), axis=0)
        baseline = 10 * np.log10(np.square(stem).sum() / np.square(mixture - stem).sum())
        assert row["uSDRi"] == pytest.approx(row["uSDR"] - baseline, abs=1e-3)
        # Of a reference that is scaled by a quarter, the rest is three quarters.
        assert row["SD-SDR"] == pytest.approx(20 * np.log10(1 / 3), abs=1e-3)
    table = (corpus / "results/table.md").read_text(encoding="utf-8").splitlines()
    mixture = next(line.split("|") for line in table if "(mixture)" in line)
    assert float(mixture[table[0].split("|").index(" uSDRi ")]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--name", "mine"), "--name is for one EST_DIR"),
        (("--metrics", "soloist.metrics.Nothing"), "Nothing"),
        (("--metrics", "loudness"), "there is no metric 'loudness'; there are si-sdri, "),
        (("--metrics", "elsewhere.Loudness"), "give the file or package that defines it with --import"),
        (("--duration", "0"), "duration must be more than 0 s"),
    ],
)
def test_options_that_do_not_fit_are_refused(soloist, corpus, options, message):
    result = soloist("score", corpus / "references", corpus / "good", corpus / "bad", *options)
    assert result.code == 2
    assert message in result.err


def test_folders_of_one_name_are_called_by_the_folders_above(soloist, corpus):
    for parent, system in (("one", "good"), ("two", "bad")):
        (corpus / parent).mkdir()
        (corpus / system).rename(corpus / parent / "stems")
    rows = score(soloist, corpus, systems=("one/stems", "two/stems"))
    assert {row["system"] for row in rows} == {"one-stems", "two-stems"}
