"""Trainings side by side, as `soloist runs` shows them."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

COLUMNS = "step,train/loss,epoch,train/loss_epoch,valid/si_sdri,valid/loss,time/elapsed\n"


def write_run(
    folder: Path, *, steps: int = 20, quality: float = 7.0, age: float = 0.0, **recipe: Any
) -> Path:
    """A run of two epochs at most, with a validation after each, as a training leaves it while it runs."""
    folder.mkdir(parents=True)
    network = {"class_path": "a.Network", "init_args": {"num_blocks": 8, "sizes": [1, 2]}}
    values = {
        "name": "digits",
        "separator": {"class_path": "a.Separator", "init_args": {"network": network}},
        "trainer": {"max_epochs": 2},
        "monitor": "valid/si_sdri",
        "seed": 0,
        **recipe,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    rows = ["4,-1.5,0,,,,0.5\n", f"9,-2.5,0,-2,{quality},-1,1.25\n", "14,-3,1,,,,2\n"]
    rows += [f"19,-3.5,1,-3,{quality - 1},-2,90.5\n"]
    (folder / "metrics.csv").write_text(COLUMNS + "".join(rows[: steps // 5]))
    started = [{"started": "2026-01-02T03:04:05+00:00"}, {"started": "2026-02-02T03:04:05+00:00"}]
    (folder / "environment.yaml").write_text(yaml.safe_dump(started))
    for path in folder.iterdir():
        os.utime(path, (time.time() - age,) * 2)
    return folder


def finish(folder: Path, test: float | None, measure: str = "si_sdri") -> Path:
    """What a training adds in the end."""
    figures = {"all": {measure: {"mean": test, "median": test}}, "vocals": {measure: {"mean": 99.0}}}
    results = {"epochs": 2, "steps": 20, "seconds": 100.2, "tests": {"unseen": {"targets": figures}}}
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "model").mkdir()
    (folder / "model" / "card.yaml").write_text("parameters: 1234567\n")
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    """A finished run, one under way, and one that was killed an hour ago, whose network is smaller."""
    finish(write_run(tmp_path / "best", age=7200), 6.54321)
    write_run(tmp_path / "later" / "now", steps=15, quality=9.0)
    small = {"class_path": "a.Network", "init_args": {"num_blocks": 4, "sizes": [1, 2], "kind": "[small]"}}
    separator = {"class_path": "a.Separator", "init_args": {"network": small}}
    write_run(tmp_path / "killed", steps=10, quality=8.0, age=3600, separator=separator, seed=3)
    return tmp_path


def test_the_table_shows_how_far_and_how_good_each_is(soloist, folder):
    done = soloist("runs", folder)
    assert done.code == 0, done.err
    heading, best, killed, now = (line.split() for line in done.out.splitlines())
    assert heading == ["name", "recipe", "state", "epochs", "steps", "best", "test", "parameters", "time"]
    tests = ["unseen:", "6.54", "si_sdri"]
    assert best == [
        "best",
        "digits",
        "finished",
        "2/2",
        "20",
        "7.00",
        "si_sdri",
        *tests,
        "1.23",
        "M",
        "0:01:40",
    ]
    assert killed == ["killed", "digits", "interrupted", "1/2", "10", "8.00", "si_sdri", "0:00:01"]
    assert now == ["later/now", "digits", "running", "1/2", "15", "9.00", "si_sdri", "0:00:02"]


def test_json_holds_everything(soloist, folder):
    shown = json.loads(soloist("runs", folder, "--json").out)
    assert [run["name"] for run in shown] == ["best", "killed", "later/now"]
    assert shown[0] == {
        "name": "best",
        "folder": str(folder / "best"),
        "recipe": "digits",
        "state": "finished",
        "epochs": 2,
        "steps": 20,
        "monitor": "valid/si_sdri",
        "lower_is_better": False,
        "best": 7.0,
        "tests": {"unseen": {"si_sdri": 6.54321}},
        "parameters": 1234567,
        "seconds": 100.2,
        "started": "2026-01-02T03:04:05+00:00",
    }
    assert (shown[2]["tests"], shown[2]["parameters"], shown[2]["seconds"]) == ({}, None, 2.0)


def test_csv_has_a_column_for_each_test_figure(soloist, folder):
    rows = list(csv.DictReader(io.StringIO(soloist("runs", folder, "--csv").out)))
    assert [row["test/unseen/si_sdri"] for row in rows] == ["6.54321", "", ""]
    assert [row["best"] for row in rows] == ["7.0", "8.0", "9.0"]


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("best", ["later/now", "killed", "best"]),
        ("seconds", ["killed", "later/now", "best"]),
        ("test/unseen/si_sdri", ["best", "killed", "later/now"]),
    ],
)
def test_sorting_puts_the_best_first_and_the_unknown_last(soloist, folder, key, order):
    shown = json.loads(soloist("runs", folder, "--sort", key, "--json").out)
    assert [run["name"] for run in shown] == order


def test_a_loss_is_best_when_it_is_low(soloist, tmp_path):
    for name in ("one", "two"):
        write_run(tmp_path / name, steps=10 if name == "one" else 20, monitor="valid/loss")
    shown = json.loads(soloist("runs", tmp_path, "--sort", "best", "--json").out)
    assert [(run["name"], run["best"]) for run in shown] == [("two", -2.0), ("one", -1.0)]


def test_differences_are_named_as_train_takes_them(soloist, folder):
    done = soloist("runs", folder / "best", folder / "killed", "--diff")
    assert [line.split() for line in done.out.splitlines()] == [
        ["key", "best", "killed"],
        ["separator.network.num_blocks", "8", "4"],
        ["seed", "0", "3"],
        ["separator.network.kind", '"[small]"'],
    ]
    shown = json.loads(soloist("runs", folder / "best", folder / "killed", "--diff", "--json").out)
    assert shown["separator.network.num_blocks"] == {"best": 8, "killed": 4}
    same = soloist("runs", folder / "best", folder / "later/now", "--diff")
    assert (same.code, same.out) == (0, "the recipes are the same\n")


def test_a_run_that_was_finished_and_goes_on_is_running(soloist, tmp_path):
    folder = finish(write_run(tmp_path / "longer"), 6.0)
    assert json.loads(soloist("runs", folder, "--json").out)[0]["state"] == "finished"
    with (folder / "metrics.csv").open("a") as file:
        file.write("24,-4,2,,,,120\n")
    (run,) = json.loads(soloist("runs", folder, "--json").out)
    assert (run["state"], run["steps"], run["seconds"], run["tests"]) == ("running", 25, 120.0, {})


def test_names_tell_runs_of_several_folders_apart(soloist, tmp_path):
    folders = [write_run(tmp_path / name / "digits").parent for name in ("one", "two")]
    shown = json.loads(soloist("runs", *folders, folders[0] / "digits", "--json").out)
    assert [run["name"] for run in shown] == ["one/digits", "two/digits"]
    assert [run["folder"] for run in shown] == [str(folder / "digits") for folder in folders]


def test_a_folder_with_nothing_but_a_recipe_is_a_run(soloist, tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "recipe.yaml").write_text("name: bare\n")
    shown = json.loads(soloist("runs", folder, "--json").out)
    assert (shown[0]["steps"], shown[0]["best"], shown[0]["state"]) == (0, None, "running")
    assert soloist("runs", folder).out.splitlines()[1].split() == ["bare", "bare", "running", "0", "0"]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("results.json", "{", "is not valid JSON"),
        ("environment.yaml", "{", "is not a list of starts"),
        ("environment.yaml", "started: now", "is not a list of starts"),
        ("recipe.yaml", "- a", "must hold a mapping"),
        ("metrics.csv", "a,b\n1,2\n", "is not a table of metrics"),
    ],
)
def test_a_damaged_run_is_named_and_the_others_are_shown(soloist, folder, file, content, said):
    (folder / "killed" / file).write_text(content)
    done = soloist("runs", folder, "--json")
    assert done.code == 1
    assert [run["name"] for run in json.loads(done.out)] == ["best", "later/now"]
    assert done.err.count("\n") == 1
    assert f"killed/{file}" in done.err
    assert said in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there is no folder"),
        (["empty"], "there are no runs below"),
        (["best", "--diff"], "at least two runs"),
        (["best", "--sort", "bst"], "did you mean 'best'?"),
        (["best", "--json", "--csv"], "one of --json, --csv and --output"),
        (["best", "-o", "table.txt"], "tables are written as .csv or .xlsx: give table.csv"),
    ],
)
def test_wrong_usage_is_explained_in_one_line(soloist, folder, monkeypatch, arguments, said):
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder)
    done = soloist("runs", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
