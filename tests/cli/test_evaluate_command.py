"""`soloist evaluate` from outside."""

import json

import numpy as np
import pytest

from stem_corpora import noises, write_track

STEMS = ("vocals", "drums", "other")


@pytest.fixture
def corpus(tmp_path):
    """Four tracks, one of them corrupt, in two layers of folders."""
    for index in range(4):
        write_track(
            tmp_path / f"corpus/part {index % 2}/song {index}", noises(STEMS, seconds=1.2, seed=index)
        )
    (tmp_path / "corpus/part 1/song 3/drums.wav").write_bytes(b"RIFF nothing")
    return tmp_path / "corpus"


def _records(folder):
    return {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*.json") if path.parent != folder
    }


@pytest.mark.slow
def test_a_corpus_is_evaluated_in_parallel_and_resumed(soloist, corpus, tmp_path):
    results = tmp_path / "results"
    first = soloist("evaluate", "repet", corpus, "-o", results, "--jobs", 2)
    assert first.code == 1
    (failure,) = (line for line in first.err.splitlines() if line.startswith("soloist:"))
    assert failure.startswith("soloist: repet, part 1/song 3: ")
    assert "drums.wav" in failure
    records = _records(results / "repet")
    assert len(records) == 3
    assert "repet: part 1/song 3 has no scores" in (results / "report.html").read_text()
    before = {name: path.stat().st_mtime_ns for name, path in records.items()}

    records["test/part 0/song 2.json"].unlink()
    write_track(corpus / "part 1/song 3", noises(STEMS, seconds=1.2, seed=3))
    second = soloist("evaluate", "repet", "oracle:mixture", corpus, "-o", results)
    assert second.code == 0, second.err
    assert "repet: 2 of 4 tracks had scores already" in second.err
    after = {name: path.stat().st_mtime_ns for name, path in _records(results / "repet").items()}
    redone = {name for name in after if after[name] != before.get(name)}
    assert redone == {"test/part 0/song 2.json", "test/part 1/song 3.json"}
    assert len(after) == 4
    _check_reports(results)
    _check_mixture(json.loads((results / "oracle-mixture/test/part 0/song 0.json").read_text()))


OWN = """
from soloist.metrics import Metric


class Level(Metric):
    def __call__(self, references, estimates, mixture):
        return estimates.abs().amax(dim=(-2, -1))
"""


@pytest.mark.slow
def test_all_models_that_fit_are_measured_with_further_metrics(soloist, tmp_path, monkeypatch):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    write_track(tmp_path / "corpus/song", noises(("low", "high"), seconds=1.2))
    (tmp_path / "levels.py").write_text(OWN)
    options = (
        "--import",
        tmp_path / "levels.py",
        "--metrics",
        "si-sdri,levels.Level",
        "-o",
        tmp_path / "out",
    )
    first = soloist("evaluate", "all", "oracle:irm1", tmp_path / "corpus", *options)
    assert first.code == 0, first.err
    assert "1 model on disk for high, low: crossover" in first.err
    record = json.loads((tmp_path / "out/crossover/test/song.json").read_text())
    for scores in record["soloist"]["whole"].values():
        assert 0 < scores["Level"] < 1
        assert scores["SI-SDRi"] < 30
    # Nothing is measured twice, and other metrics are measured anew.
    again = soloist("evaluate", "all", tmp_path / "corpus", *options)
    assert "crossover: 1 of 1 tracks had scores already" in again.err
    other = soloist("evaluate", "all", tmp_path / "corpus", "-o", tmp_path / "out")
    assert "had scores already" not in other.err


@pytest.mark.slow
def test_networks_run_in_the_engine_that_is_named(soloist, tmp_path):
    write_track(tmp_path / "corpus/song", noises(STEMS, seconds=1.2))
    result = soloist(
        "evaluate", "repet", tmp_path / "corpus", "--engine", "openvino", "-o", tmp_path / "results"
    )
    assert result.code == 1
    assert "no network that openvino could run: take --engine torch" in result.err


def _check_reports(results):
    table = (results / "table.md").read_text()
    for row in ("vocals | repet | 4", "accompaniment | oracle:mixture | 4", "drums | oracle:mixture | 4"):
        assert f"| {row} |" in table
    page = (results / "report.html").read_text()
    assert "has no scores" not in page
    assert page.count('class="listen"') == 1
    assert page.count("data-audio=") == 1 + 4 + 4 + 2, "the mixture, references, the oracle's stems, repet's"


def _check_mixture(record):
    """The scores of the mixture follow from the stems; the cost of making it is known."""
    stems = noises(STEMS, seconds=1.2, seed=0)
    mixture = np.sum(list(stems.values()), axis=0, dtype=np.float64)
    for name, stem in {**stems, "accompaniment": stems["drums"] + stems["other"]}.items():
        expected = 10 * np.log10(np.square(stem, dtype=float).sum() / np.square(mixture - stem).sum())
        assert record["soloist"]["whole"][name]["uSDR"] == pytest.approx(expected, abs=1e-3)
    cost = record["soloist"]["cost"]
    assert cost["elapsed"] > 0
    assert 50 < cost["peak_memory"] < 5000
    assert record["soloist"]["duration"] == pytest.approx(1.2)


def test_a_published_model_on_a_real_clip(soloist, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))
    assert soloist("models", "import", shared / "weights/cac_tdc_17_vocals_top3.pt").code == 0
    results = tmp_path / "results"
    result = soloist(
        "evaluate", "tdc17-vocals-3", shared / "data/musdb-sample", "-o", results, "--device", "cpu"
    )
    assert result.code == 0, result.err
    of_model = [row.split() for row in result.out.splitlines() if "tdc17-vocals-3" in row]
    rows = {row[0]: row for row in of_model}
    # In one piece the network has 11.23 and 13.92 dB; this is in chunks.
    assert float(rows["vocals"][3]) == pytest.approx(11.23, abs=0.1)
    assert float(rows["accompaniment"][3]) == pytest.approx(13.92, abs=0.1)
    assert "directions that they do not have are left out" in (results / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["CORPUS"], "name at least one model or oracle"),
        (["no-such-model", "CORPUS"], "no model is named 'no-such-model'"),
        (["oracle:none", "CORPUS"], "there is no oracle 'none'"),
        (["repet", "repet", "CORPUS"], "two of the systems are called repet"),
        (["repet", "absent"], "there is no folder or file absent"),
        (["repet", "CORPUS", "--device", "abacus"], "device 'abacus' is not there"),
        (["repet", "CORPUS", "--window", "0"], "window 0 s"),
        (["repet", "CORPUS", "--metrics", "loudness"], "there is no metric 'loudness'"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_anything_is_done(
    soloist, corpus, tmp_path, arguments, message
):
    given = [str(corpus) if argument == "CORPUS" else argument for argument in arguments]
    result = soloist("evaluate", *given, "-o", tmp_path / "results")
    assert result.code in (1, 2)
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["repet", "CORPUS", "--trials", "3"], "--trials is for --search"),
        (["CORPUS", "--search", "slicq", "--jobs", "2"], "--jobs is not for --search"),
        (["repet", "CORPUS", "--search", "slicq"], "name one corpus, not repet "),
        (["repet"], "repet is not a run: name at least one model or oracle"),
        (["repet", "--recipe", "tiny-umx", "--listen", "2"], "--listen is for a corpus"),
        (["repet", "CORPUS", "--data.root", "x"], "there is no option --data.root"),
    ],
)
def test_options_of_another_form_are_refused(soloist, corpus, arguments, message):
    result = soloist("evaluate", *(str(corpus) if part == "CORPUS" else part for part in arguments))
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert message in result.err
