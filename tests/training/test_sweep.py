"""Sweeps: every combination once, whoever trains it; what was done is not done again; the best is kept."""

from __future__ import annotations

import optuna
import pytest
import yaml

from soloist.cli.main import main
from soloist.errors import ConfigError, UsageError
from soloist.training import Recipe, SweepConfig, find_runs, read_recipe, sweep
from soloist.training.sweep.sweep_values import as_yaml
from soloist.training.sweep.trials import BEST, RECIPE, STORAGE

RATES = {"optimizer.lr": ["1e-2", 0.001]}
GRID = {"method": "grid", "values": {**RATES, "separator.network.num_blocks": [1, 2]}}


@pytest.fixture
def briefly(recipe_values):
    """The recipe of a second, with a section `sweep`."""

    def make(**section) -> Recipe:
        data = {**recipe_values["data"], "examples_per_epoch": 4, "valid_examples": 2, "test": {}}
        values = {
            **recipe_values,
            "data": data,
            "trainer": {"max_epochs": 1, "accelerator": "cpu"},
            "sweep": section,
        }
        return Recipe.parse(values, "humming")

    return make


def test_a_grid_is_every_combination_and_its_best_a_recipe(briefly, tmp_path):
    folder = tmp_path / "sweep"
    trials = sweep(briefly(**GRID), folder, quiet=True)
    tried = {(trial.values["optimizer.lr"], trial.values["separator.network.num_blocks"]) for trial in trials}
    assert tried == {("0.01", "1"), ("0.01", "2"), ("0.001", "1"), ("0.001", "2")}
    assert {trial.state for trial in trials} == {"done"}
    figures = [trial.figure for trial in trials]
    assert figures == sorted(figures, reverse=True)
    best = read_recipe(folder / BEST)
    assert best.optimizer["init_args"]["lr"] == float(trials[0].values["optimizer.lr"])
    assert (
        str(best.separator["init_args"]["network"]["init_args"]["num_blocks"])
        == (trials[0].values["separator.network.num_blocks"])
    )
    assert (best.name, best.sweep) == ("humming", {})
    assert sorted(find_runs([folder])) == sorted(trial.folder.name for trial in trials)


@pytest.mark.slow
def test_more_trials_go_on_with_what_is_there(briefly, tmp_path):
    folder = tmp_path / "sweep"
    section = {"method": "tpe", "values": {"optimizer.lr": {"low": "1e-4", "high": 0.1, "log": True}}}
    (first,) = sweep(briefly(**section, trials=1), folder, quiet=True)
    written = (first.folder / "metrics.csv").stat().st_mtime_ns
    both = sweep(briefly(**section, trials=2), folder, quiet=True)
    assert (first.folder / "metrics.csv").stat().st_mtime_ns == written
    rates = {float(trial.values["optimizer.lr"]) for trial in both}
    assert len(rates) == 2
    assert all(1e-4 <= rate <= 0.1 for rate in rates)
    assert {trial.folder.name for trial in both} == {"trial-000", "trial-001"}


@pytest.mark.slow
def test_an_interrupted_trial_is_finished_on_demand(briefly, tmp_path):
    folder, recipe = tmp_path / "sweep", briefly(method="grid", values=RATES)
    done = sweep(recipe, folder, quiet=True)
    assert len(done) == 2
    more = briefly(method="grid", values={"optimizer.lr": ["1e-2", 0.001]}, trials=2)
    study = optuna.load_study(study_name="humming", storage=f"sqlite:///{folder / STORAGE}")
    killed = study.ask()
    killed.set_user_attr("values", {"optimizer.lr": "0.005"})
    states = [trial.state for trial in sweep(more, folder, quiet=True)]
    assert states == ["done", "done", "running"]
    trials = sweep(more, folder, resume=True, quiet=True)
    assert [trial.state for trial in trials] == ["done"] * 3
    assert "0.005" in {trial.values["optimizer.lr"] for trial in trials}


@pytest.mark.slow
def test_values_that_fail_are_told(briefly, tmp_path, monkeypatch, capfd):
    """An even kernel is refused where frames are halved; the others are trained all the same."""
    section = {"method": "grid", "values": {"separator.filterbank.kernel_size": [21, 20, 11]}}
    file = tmp_path / "humming.yaml"
    file.write_text(briefly(**section).to_yaml())
    folder = tmp_path / "sweep"
    monkeypatch.setattr("sys.argv", ["soloist", "train", str(file), "--sweep", "-o", str(folder)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["trial", "state", "valid/si_sdri"]
    assert sorted(line.split()[-1] for line in lines[1:]) == ["11", "20", "21"]
    assert lines[-1].split() == ["trial-001", "failed", "20"]
    assert f"soloist: {folder / 'trial-001'}: " in err
    assert "kernel_size 20 must be odd" in err
    assert yaml.safe_load((folder / BEST).read_text())["name"] == "humming"


def test_the_sweep_of_an_earlier_version_goes_on(briefly, tmp_path):
    folder, recipe = tmp_path / "sweep", briefly(method="grid", values={"optimizer.lr": [0.01]})
    sweep(recipe, folder, quiet=True)
    written = yaml.safe_load((folder / RECIPE).read_text())
    written["loss"]["class_path"] = "soloist.losses.permutation.PermutationInvariant"
    del written["metrics"]
    (folder / RECIPE).write_text(yaml.safe_dump(written))
    assert [trial.state for trial in sweep(recipe, folder, quiet=True)] == ["done"]


def test_a_folder_of_something_else_is_left_alone(briefly, tmp_path):
    folder = tmp_path / "sweep"
    sweep(briefly(method="grid", values={"optimizer.lr": [0.01]}), folder, quiet=True)
    with pytest.raises(UsageError, match="holds the sweep of another recipe"):
        sweep(briefly(method="grid", values={"optimizer.lr": [0.02]}), folder)
    with pytest.raises(UsageError, match="something else than a sweep"):
        sweep(briefly(**GRID), folder / "trial-000")
    with pytest.raises(UsageError, match="there is no sweep in"):
        sweep(briefly(**GRID), tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "there is none"),
        ({"values": {}}, "names nothing to try"),
        ({"values": {"separator.network.num_block": [1]}, "trials": 2}, "did you mean 'num_blocks'"),
        ({"values": RATES, "trails": 2}, "did you mean 'trials'"),
        ({"values": RATES}, "sweep.trials is missing"),
        ({"values": RATES, "trials": 0}, "at least 1"),
        ({"values": {"optimizer.lr": 0.1}, "trials": 2}, "must be a list, or a range"),
        ({"values": {"optimizer.lr": {"low": 1, "hihg": 2}}, "trials": 2}, "must be a list, or a range"),
        ({"values": {"optimizer.lr": {"low": 2, "high": 1}}, "trials": 2}, "is no range"),
        ({"values": {"optimizer.lr": {"low": 0, "high": 1, "log": True}}, "trials": 2}, "is no range"),
        ({"values": {"optimizer.lr": {"low": 0, "high": 1}}, "method": "grid"}, "a grid has no ranges"),
        ({"values": RATES, "method": "gird"}, "method"),
    ],
)
def test_a_section_that_cannot_be_tried_is_refused(briefly, section, message):
    with pytest.raises(ConfigError, match=message):
        SweepConfig.of(briefly(**section))


@pytest.mark.parametrize(
    ("value", "text"),
    [("1e-3", "0.001"), (16, "16"), ([0, 2], "[0, 2]"), (None, "null"), ("relu", "relu"), (1e-05, "1.0e-05")],
)
def test_values_are_told_as_the_command_line_takes_them(value, text):
    assert as_yaml(value) == text


def test_whole_ends_draw_whole_numbers(briefly):
    config = SweepConfig.of(
        briefly(values={"separator.network.num_blocks": {"low": 2, "high": 8, "step": 3}}, trials=9)
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = {config.choose(study.ask())["separator.network.num_blocks"] for _ in range(20)}
    assert drawn == {"2", "5", "8"}
