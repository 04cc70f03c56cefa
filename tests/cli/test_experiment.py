"""`soloist train --stages`: an experiment is done once, whatever happens meanwhile."""

from __future__ import annotations

import csv
import json
import signal
import time
from pathlib import Path

import openpyxl
import pytest
import yaml

from faults import start_forked
from training.conftest import merged

pytest_plugins = ["training.conftest"]

SMALL = {
    "trainer": {"max_epochs": 2},
    "data": {"test_examples": 2, "valid_examples": 2},
    "watch": {"examples": 1, "seconds": 0.3},
}
STAGES = ["prepare", "train", "evaluate", "visualize", "analyze"]


@pytest.fixture
def experiment(write_recipe):
    """The recipe of a second, of which little is tested and drawn."""

    def write(**changes) -> Path:
        return write_recipe(**merged(SMALL, changes))

    return write


@pytest.fixture
def run(soloist, tmp_path):
    """Run an experiment in the folder `out`, and say what became of each stage."""

    def start(recipe, *options) -> dict[str, str]:
        result = soloist("train", recipe, "--stages", "all", "-o", tmp_path / "out", *options)
        assert result.code == 0, result.err
        lines = [line.split(": ", 1) for line in result.err.splitlines()]
        return {line[0]: line[1] for line in lines if line[0] in STAGES}

    return start


def skipped(told: dict[str, str]) -> list[str]:
    return [stage for stage, what in told.items() if what.startswith("skipped")]


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """When each file was written, and how large it is."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def test_everything_is_done_once_and_then_only_what_has_changed(experiment, run, tmp_path):
    out = tmp_path / "out"
    told = run(experiment())
    assert told == dict.fromkeys(STAGES, "not done yet")
    assert json.loads((out / "corpora.json").read_text())["corpora"][0]["errors"] == 0
    names = ["mixture", "talker1", "talker1-reference", "talker2", "talker2-reference"]
    assert sorted(path.name for path in (out / "examples" / "0").iterdir()) == [
        *(f"{name}.wav" for name in names[:1]),
        "picture.png",
        *(f"{name}.wav" for name in ("talker1-reference", "talker1", "talker2-reference", "talker2")),
    ]
    (row,) = csv.DictReader((out / "runs.csv").open())
    assert (row["name"], row["state"], row["epochs"]) == ("run", "finished", "2")
    sheet = list(openpyxl.load_workbook(out / "runs.xlsx").active.values)
    assert list(sheet[0]) == list(row)
    assert sheet[1][sheet[0].index("test/held out/si_sdri")] == pytest.approx(
        float(row["test/held out/si_sdri"])
    )
    before = contents(out)
    assert skipped(run(experiment())) == STAGES
    assert contents(out) == before
    # Where files are shown and how fast they are read changes nothing; another test set is no other training.
    assert skipped(run(experiment(data={"workers": 1}), "--stages", "train,evaluate")) == [
        "train",
        "evaluate",
    ]
    told = run(experiment(data={"test_examples": 3}))
    assert skipped(told) == ["prepare", "train"] or skipped(told) == ["train"]
    assert told["evaluate"] == "data.test_examples changed"
    assert yaml.safe_load((out / "run" / "recipe.yaml").read_text())["data"]["test_examples"] == 3
    (out / "run" / "results.json").unlink()
    told = run(experiment(data={"test_examples": 3}))
    assert told["evaluate"] == "run/results.json is missing"
    assert skipped(told) == ["prepare", "train", "visualize", "analyze"]


@pytest.mark.slow
def test_longer_trainings_go_on_and_others_begin_anew(experiment, run, tmp_path):
    def starts():
        return len(yaml.safe_load((tmp_path / "out" / "run" / "environment.yaml").read_text()))

    only = ("--stages", "train")
    run(experiment(), *only)
    assert run(experiment(trainer={"max_epochs": 3}), *only) == {"train": "trainer.max_epochs changed"}
    assert starts() == 2
    told = run(experiment(trainer={"max_epochs": 3}, optimizer={"init_args": {"lr": 0.02}}), *only)
    assert told == {"train": "optimizer.lr changed"}
    assert starts() == 1
    longer = experiment(trainer={"max_epochs": 3}, optimizer={"init_args": {"lr": 0.02}})
    weights = (tmp_path / "out" / "run" / "model" / "model.safetensors").read_bytes()
    assert run(longer, *only, "--force", "train") == {"train": "forced"}
    assert (tmp_path / "out" / "run" / "model" / "model.safetensors").read_bytes() == weights


def killed_when(condition, *arguments) -> int:
    """Kill a command when a condition holds, and give its exit code."""
    process = start_forked(*arguments)
    deadline = time.monotonic() + 300
    while not condition() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.join()
    return process.exitcode


def steps(folder: Path) -> list[int]:
    with (folder / "metrics.csv").open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_killed_after_the_training_it_does_only_the_rest(experiment, run, tmp_path):
    recipe, out = experiment(), tmp_path / "out"
    evaluated = out / "stages" / "evaluate.json"
    ended = killed_when(evaluated.exists, "train", recipe, "--stages", "all", "-o", out)
    assert ended == -signal.SIGKILL
    trained = contents(out / "run" / "checkpoints")
    told = run(recipe)
    assert skipped(told) == ["prepare", "train"]
    assert told["analyze"] == "not done yet"
    assert contents(out / "run" / "checkpoints") == trained
    assert steps(out / "run") == list(range(12))
    assert skipped(run(recipe)) == STAGES


@pytest.mark.slow
def test_killed_within_the_training_it_goes_on_as_if_it_had_not_been(experiment, run, soloist, tmp_path):
    recipe, out, only = (
        experiment(trainer={"max_epochs": 4}),
        tmp_path / "out",
        ("--stages", "train,evaluate"),
    )
    assert soloist("train", recipe, "-o", tmp_path / "whole", "-q", *only).code == 0
    checkpoint = out / "run" / "checkpoints" / "last.ckpt"
    assert killed_when(checkpoint.exists, "train", recipe, "-o", out, *only) == -signal.SIGKILL
    assert run(recipe, *only) == {"train": "was interrupted", "evaluate": "not done yet"}
    assert steps(out / "run") == list(range(24))
    for file in ("model/model.safetensors", "results.csv"):
        assert (out / "run" / file).read_bytes() == (tmp_path / "whole" / "run" / file).read_bytes()


@pytest.mark.slow
def test_a_sweep_over_lists_becomes_one_table(experiment, run, tmp_path):
    sweep = {"method": "grid", "values": {"optimizer.lr": [0.01, 0.001], "separator.network.channels": [2]}}
    short = {"data": {"examples_per_epoch": 4}, "trainer": {"max_epochs": 1}}
    stages = ["train", "evaluate", "analyze"]
    recipe = experiment(sweep=sweep, stages=stages, **short)
    run(recipe, "-q")
    rows = list(csv.DictReader((tmp_path / "out" / "runs.csv").open()))
    assert sorted(row["name"] for row in rows) == ["trial-000", "trial-001"]
    assert all(float(row["test/held out/si_sdri"]) for row in rows)
    best = [float(row["best"]) for row in rows]
    assert best == sorted(best, reverse=True)
    assert skipped(run(recipe)) == stages
    more = {**sweep, "values": {**sweep["values"], "optimizer.lr": [0.01, 0.001, 0.1]}}
    told = run(experiment(sweep=more, stages=["train"], **short))
    assert told["train"] == "sweep.values.optimizer.lr changed"
    assert len(list((tmp_path / "out" / "sweep").glob("trial-*"))) == 3


@pytest.mark.slow
def test_an_experiment_may_begin_from_another_recipe(experiment, soloist, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment()
    Path("mine.yaml").write_text("recipe: humming.yaml\ntrainer.max_epochs: 1\nstages: [train, analyze]\n")
    result = soloist("train", "mine.yaml", "--stages", "all")
    assert result.code == 0, result.err
    values = yaml.safe_load(Path("experiments/mine/run/recipe.yaml").read_text())
    assert (values["name"], values["trainer"]["max_epochs"]) == ("mine", 1)
    assert sorted(path.name for path in Path("experiments/mine/stages").iterdir()) == [
        "analyze.json",
        "train.json",
    ]
    again = soloist("train", "mine.yaml", "--stages", "all", "-o", Path("experiments/mine").resolve())
    assert again.err.count("skipped") == 2
    assert soloist("visualize", "mine.yaml", "-o", "look").code == 0


def test_examples_are_kept_before_the_training(experiment, run, tmp_path):
    cache = {"examples": 5, "folder": str(tmp_path / "cache")}
    curriculum = [{"until": 1, "duration": 0.2}]
    run(experiment(data={"cache": cache, "curriculum": curriculum}), "--stages", "prepare")
    kept = [len(list(folder.iterdir())) for folder in (tmp_path / "cache").iterdir()]
    assert sorted(kept) == [2, 5, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stages", "train,tset"], "there is no stage 'tset'"),
        (["--stages", "visualise"], "there is no stage 'visualise'; did you mean 'visualize'?"),
        (
            ["--stages", "train", "--force", "analyze"],
            "the stage analyze is left out, so it cannot be forced",
        ),
        (["--stages", "evaluate"], "the stage train makes it"),
        (["--stage", "train"], "there is no option --stage; did you mean '--stages'?"),
        (["--data.root", "/nowhere"], "there is no folder /nowhere"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(soloist, experiment, tmp_path, options, message):
    result = soloist("train", experiment(), "--stages", "all", "-o", tmp_path / "out", "-q", *options)
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "out" / "run").exists()


def test_a_folder_of_something_else_is_left_alone(soloist, experiment, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    result = soloist("train", experiment(), "--stages", "all", "-o", tmp_path / "out")
    assert result.code == 2
    assert "holds something else than an experiment" in result.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_damaged_corpus_is_told_before_hours_of_training(soloist, experiment, hummers, tmp_path):
    import shutil

    root = tmp_path / "damaged"
    shutil.copytree(hummers, root)
    (root / "alt" / "1.wav").write_bytes(b"")
    result = soloist(
        "train", experiment(data={"root": str(root)}), "--stages", "all", "-o", tmp_path / "out", "-q"
    )
    assert result.code == 1
    assert "1 error in the corpus" in result.err
    assert "1.wav" in result.err
    assert not (tmp_path / "out" / "run").exists()


@pytest.mark.slow
def test_another_training_never_goes_on_with_what_is_there(experiment, run, soloist, tmp_path):
    only = ("--stages", "train")
    run(experiment(), *only)
    other = experiment(optimizer={"init_args": {"lr": 0.5}})
    model = tmp_path / "out" / "run" / "model"
    killed_when(lambda: not model.exists(), "train", other, "-o", tmp_path / "out", *only)
    run(other, *only)
    assert soloist("train", other, "-o", tmp_path / "fresh", "-q", *only).code == 0
    weights = [
        (tmp_path / name / "run" / "model" / "model.safetensors").read_bytes() for name in ("out", "fresh")
    ]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_sweep_goes_on_when_only_its_trials_grow(experiment, run, tmp_path):
    values = {"optimizer.lr": {"low": 0.001, "high": 0.1, "log": True}}
    short = {"data": {"examples_per_epoch": 4}, "trainer": {"max_epochs": 1}, "stages": ["train"]}

    def sweep(trials, **changes):
        section = {"method": "random", "trials": trials, "values": values}
        told = run(experiment(sweep=section, **merged(short, changes)))
        folders = (tmp_path / "out" / "sweep").glob("trial-*/metrics.csv")
        return told["train"], {path.parent.name: path.stat().st_mtime_ns for path in folders}

    _, first = sweep(1)
    told, both = sweep(2, data={"workers": 1})
    assert told == "sweep.trials changed"
    assert first.items() <= both.items()
    assert len(both) == 2
    told, anew = sweep(2, data={"workers": 1}, trainer={"max_epochs": 2})
    assert told == "trainer.max_epochs changed"
    assert not anew.items() & both.items()
