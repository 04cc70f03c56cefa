"""`soloist profile` as users see it."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
import yaml

from soloist.zoo import find

MODEL = "tiny-sudormrf-digits"
QUICK = ("--duration", "0.5", "--batch", "1", "--budget", "0.001", "--device", "cpu")
GREEDY = '''
import os, signal, torch
from soloist.separators import Separator

class Greedy(Separator):
    """Needs too much memory for more than a second, or to be trained; or is killed for it."""

    def __init__(self, killed: bool = False) -> None:
        super().__init__(sources=["a"], sample_rate=1000)
        self.killed, self.gain = killed, torch.nn.Parameter(torch.ones(1))

    def estimate(self, mixture):
        if mixture.shape[-1] > 1000 or self.training:
            if self.killed:
                os.kill(os.getpid(), signal.SIGKILL)
            torch.empty(2**50)
        return mixture[:, None] * self.gain
'''


def lines(text: str) -> list[list[str]]:
    """The words of the lines that are not empty."""
    return [line.split() for line in text.splitlines() if line.strip()]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def greedy(tmp_path, monkeypatch):
    """Recipes of separators that need too much memory."""
    (tmp_path / "greedy_separator.py").write_text(GREEDY)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(*, killed: bool) -> Path:
        separator = {"class_path": "greedy_separator.Greedy", "init_args": {"killed": killed}}
        mixer = {"class_path": "soloist.mixing.StemMixer", "init_args": {}}
        recipe = {
            "imports": ["greedy_separator"],
            "separator": separator,
            "data": {"train": mixer},
            "loss": {"class_path": "soloist.losses.SISDR"},
        }
        path = tmp_path / f"greedy-{killed}.yaml"
        path.write_text(yaml.safe_dump(recipe))
        return path

    yield write
    sys.modules.pop("greedy_separator", None)


@pytest.mark.slow
def test_tables_files_and_picture_and_one_model_that_is_not_there(soloist, tmp_path):
    files = {kind: tmp_path / "out" / f"profile.{kind}" for kind in ("csv", "json", "md", "png")}
    result = soloist(
        *("profile", MODEL, "hpss", "no-such-model", *QUICK, "--batch", "1,2"),
        *("--csv", files["csv"], "--json", files["json"], "--markdown", files["md"], "--plot", files["png"]),
    )
    assert result.code == 1
    errors = result.err.strip().splitlines()
    assert len(errors) == 2, errors
    assert errors[0].startswith("soloist: no-such-model: no model or recipe is named 'no-such-model'")
    assert "hpss is not in the picture" in errors[1]

    rows = read_csv(files["csv"])
    assert [(row["model"], row["duration"], row["batch"], row["engine"]) for row in rows] == [
        (model, "0.5", batch, "torch") for model in (MODEL, "hpss") for batch in ("1", "2")
    ]
    parameters = str(find(MODEL).parameters)
    assert {row["parameters"] for row in rows[:2]} == {parameters}
    one, two = (float(row["operations_per_second_of_audio"]) for row in rows[:2])
    assert one == two > 1e8
    assert int(rows[0]["memory"]) < int(rows[1]["memory"]) < int(rows[1]["training_memory"])
    factor = float(rows[1]["forward_median"]) / (2 * 0.5)
    assert float(rows[1]["real_time_factor"]) == pytest.approx(factor)
    unknown = ("operations_per_second_of_audio", "training_memory", "backward_median")
    assert [rows[2][key] for key in unknown] == [""] * 3

    told = json.loads(files["json"].read_text())
    assert [model["model"] for model in told["models"]] == [MODEL, "hpss"]
    assert told["failures"].keys() == {"no-such-model"}
    assert told["machine"]["threads"] == "1"
    assert told["models"][0]["measured"][1]["separating"]["memory"] == int(rows[1]["memory"])

    markdown = files["md"].read_text()
    assert f"| {MODEL} | {parameters} | {parameters} | 1.56 | unbounded | 4 | 4 |" in markdown
    shown = lines(result.out)
    assert shown[1][:2] == [MODEL, parameters]
    assert [words[:5] for words in shown[4:]] == [
        [row["model"], "torch", "cpu", row["duration"], row["batch"]] for row in rows
    ]
    assert files["png"].read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_recipe_its_whole_process_and_no_picture_without_quality(soloist, tmp_path):
    table, picture = tmp_path / "a.csv", tmp_path / "new" / "a.png"
    result = soloist("profile", "tiny-tdc", *QUICK, "--processes", "--csv", table, "--plot", picture)
    assert result.code == 2
    assert result.err.strip().endswith("give it by --quality NAME=VALUE")
    (row,) = read_csv(table)
    # PyTorch alone takes more than 100 MB.
    assert 1e8 < int(row["process_memory"]) < 2e9
    assert int(row["memory"]) < 2e7
    assert list(tmp_path.iterdir()) == [table]


@pytest.mark.slow
def test_where_the_memory_ends_the_rest_is_still_measured(soloist, greedy, tmp_path):
    refused, killed = greedy(killed=False), greedy(killed=True)
    table = tmp_path / "a.csv"
    options = ("--duration", "1,2,20", "--batch", "1", "--budget", "0.001", "--device", "cpu", "--csv", table)
    result = soloist("profile", killed, refused, *options)
    assert result.code == 1
    errors = result.err.strip().splitlines()
    case = "{} s, batch 1, torch on cpu"
    assert [error.partition(".yaml: ")[2] for error in errors] == [
        f"training: the process was killed at {case.format(1)}, as a rule for lack of memory",
        f"the process was killed at {case.format(2)}, as a rule for lack of memory",
        f"training: out of memory at {case.format(1)}",
        f"out of memory at {case.format(2)}",
    ]
    measured = [(Path(row["model"]).stem, row["duration"]) for row in read_csv(table)]
    assert measured == [("greedy-True", "1.0"), ("greedy-False", "1.0")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--duration", "0"), "durations must be more than 0 s, not 0"),
        (("--duration", "1,-4"), "durations must be more than 0 s, not 1,-4"),
        (("--duration", "nan"), "durations must be more than 0 s, not nan"),
        (("--duration", ","), "durations must be more than 0 s, not none"),
        (("--duration", "1;4"), "--duration takes numbers with commas between them, not '1;4'"),
        (("--batch", "0"), "batches must be at least 1, not 0"),
        (("--batch", "1.5"), "--batch takes numbers"),
        (("--budget", "0"), "must be more than 0 s"),
        (("--device", "cuda:99"), "device 'cuda:99' is not there"),
        (("--quality", "other=3"), "give NAME=VALUE with one of hpss"),
        (("--quality", "hpss=good"), "'good' is not a number"),
        (("--quality", "hpss=nan"), "'nan' is not a number"),
        (("--markdown", "b", "--json", "b"), "b cannot be two reports"),
        (("--plot", "picture.gif"), "pictures are written as png, pdf, svg"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_measured(soloist, tmp_path, arguments, told):
    result = soloist("profile", "hpss", "--csv", tmp_path / "new" / "a.csv", *arguments)
    assert (result.code, result.out) == (2, "")
    (line,) = result.err.strip().splitlines()
    assert told in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "name"), [("--json", "there"), ("--plot", "there.png")])
def test_a_file_that_cannot_be_written_is_said_at_once(soloist, tmp_path, option, name):
    (tmp_path / name).mkdir()
    result = soloist("profile", "hpss", option, tmp_path / name, "--csv", tmp_path / "costs.csv")
    assert (result.code, result.out) == (1, "")
    assert result.err.strip() == f"soloist: cannot write {tmp_path / name}: it is a folder"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.slow
def test_quality_that_is_given_and_an_ensemble_in_tables_and_picture(soloist, tmp_path):
    picture, table, told = (tmp_path / f"a.{kind}" for kind in ("svg", "csv", "json"))
    name = "tiny-tfc-tdf-songs"
    given = ("--quality", f"{name}=3.25", "--measure", "taste", "--plot", picture)
    result = soloist("profile", name, f"{name},{name}", *QUICK, *given, "--csv", table, "--json", told)
    assert result.code == 0, result.err
    facts = lines(result.out)
    assert (facts[0][-1], facts[1][-1], facts[2][-1]) == ("taste", "3.25", "-")
    alone, ensemble = read_csv(table)
    assert [row["quality"] for row in (alone, ensemble)] == ["3.25", ""]
    assert json.loads(told.read_text())["given"] == {"values": {name: 3.25}, "measure": "taste"}
    assert "taste" in picture.read_text()
    assert ensemble["model"] == f"{name},{name}"
    assert int(ensemble["parameters"]) == 2 * int(alone["parameters"])
    assert float(ensemble["forward_median"]) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [("--duration", "1e9"), ("--duration", "1e300"), ("--batch", "1" + 18 * "0")]
)
def test_what_no_memory_can_hold_is_one_line_and_no_report(soloist, tmp_path, case):
    result = soloist("profile", "hpss", *QUICK, *case, "--csv", tmp_path / "costs.csv")
    assert (result.code, result.out) == (1, "")
    (line,) = result.err.strip().splitlines()
    assert line.startswith("soloist: hpss: out of memory at ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_engines_beside_each_other_and_one_that_cannot_run_a_model(soloist, tmp_path):
    table = tmp_path / "costs.csv"
    result = soloist("profile", "tiny-tdf", "hpss", *QUICK, "--engines", "torch,onnxruntime", "--csv", table)
    assert result.code == 1
    assert result.err.strip().startswith("soloist: hpss: onnxruntime: HPSS has no network")
    rows = [(row["model"], row["engine"]) for row in read_csv(table)]
    assert rows == [("tiny-tdf", "torch"), ("tiny-tdf", "onnxruntime"), ("hpss", "torch")]


@pytest.mark.parametrize("engines", ["steam", ""])
def test_an_engine_that_is_not_there(soloist, engines):
    result = soloist("profile", MODEL, "--engines", engines)
    assert result.code == 2
    assert "torch" in result.err
