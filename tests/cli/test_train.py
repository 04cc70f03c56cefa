"""`soloist train`, and `soloist evaluate` of what it leaves, as a user meets them."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest_plugins = ["training.conftest"]


def losses(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file)]


def test_a_recipe_is_trained_tested_and_used(soloist, write_recipe, hummers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = write_recipe(data={"root": None})
    result = soloist("train", "--data.root", hummers, recipe, "--trainer.max_epochs=1", "-q")
    assert result.code == 0, result.err
    run = tmp_path / "runs" / "humming"
    assert "held out" in result.out
    assert "SI-SDRi" in result.out
    assert len(losses(run)) == 6
    before = json.loads((run / "results.json").read_text())
    (run / "results.json").unlink()
    assert soloist("evaluate", "runs/humming").code == 0
    after = json.loads((run / "results.json").read_text())
    assert after == before
    result = soloist("evaluate", run / "model", "--data.test_examples", 3, "-o", "elsewhere")
    assert result.code == 0, result.err
    elsewhere = json.loads((tmp_path / "elsewhere" / "results.json").read_text())
    assert elsewhere["tests"]["held out"]["examples"] == 3
    clip = next(hummers.rglob("*.wav"))
    assert soloist("separate", clip, "-n", run / "model", "-o", tmp_path / "out").code == 0


def test_print_config_shows_the_recipe_with_what_was_given(soloist, write_recipe):
    recipe = write_recipe()
    result = soloist("train", recipe, "--separator.network.num_blocks", 4, "--seed=7", "--print-config")
    values = yaml.safe_load(result.out)
    assert values["separator"]["init_args"]["network"]["init_args"]["num_blocks"] == 4
    assert values["seed"] == 7
    recipe.write_text(result.out)
    assert soloist("train", recipe, "--print-config").out == result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.rot", "x"], "unknown key 'rot'; did you mean 'root'?"),
        (["--separator.network.num_block", "4"], "SuDoRMRF has no 'num_block'; did you mean 'num_blocks'?"),
        (["--overwite"], "needs a value"),
        (["--overwite", "yes"], "there is no option --overwite; did you mean '--overwrite'?"),
        (["--trainer.max_epoch", "3"], "unknown key 'max_epoch'; did you mean 'max_epochs'?"),
        (["--data.batch_size", "many"], "batch_size"),
        (
            ["--trainer.devices=2", "--trainer.strategy=ddp", "--data.batch_size=3"],
            "make data.batch_size a multiple of 2",
        ),
        (["--data.root", "/nowhere"], "there is no folder /nowhere"),
        (["--resume", "nowhere"], "leave out a recipe"),
        (["another"], "name one recipe"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_before_anything_is_trained(
    soloist, write_recipe, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    result = soloist("train", write_recipe(), *arguments)
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_an_unknown_recipe_is_told_with_the_nearest_one(soloist):
    result = soloist("train", "tiny-sudormrf-digit")
    assert result.code == 2
    assert "did you mean 'tiny-sudormrf-digits'?" in result.err


@pytest.mark.slow
def test_ctrl_c_ends_with_one_line_and_the_run_can_go_on(write_recipe, soloist_process, soloist, tmp_path):
    recipe = write_recipe(data={"workers": 1}, trainer={"max_epochs": 10000})
    folder = tmp_path / "run"
    process = soloist_process("train", recipe, "-o", folder, "-q", start_new_session=True)
    deadline = time.monotonic() + 300
    while not (folder / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    # As a terminal does it: to all processes of the command.
    os.killpg(process.pid, signal.SIGINT)
    err = process.communicate(timeout=300)[1].decode()
    assert process.returncode == 130
    assert err == f"soloist: interrupted; go on with: soloist train --resume {folder}\n"
    epochs = sum(1 for row in losses(folder)) // 6 + 2
    result = soloist("train", "--resume", folder, "-q", f"--trainer.max_epochs={epochs}")
    assert result.code == 0, result.err
    assert len(losses(folder)) == 6 * epochs


def test_without_the_packages_for_training_one_line_says_what_to_install(write_recipe, tmp_path):
    # As where lightning is not installed: importing it fails.
    program = "import sys; sys.modules['lightning'] = None; from soloist.cli.main import main; main()"
    command = [sys.executable, "-c", program, "train", str(write_recipe()), "-o", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == 'soloist: training needs more packages: pip install "soloist[train]"\n'


@pytest.mark.slow
def test_a_sweep_goes_on_in_its_folder(soloist, write_recipe, tmp_path):
    sweep = {"method": "grid", "values": {"optimizer.lr": [0.01]}}
    short = {"examples_per_epoch": 4, "valid_examples": 2}
    recipe = write_recipe(sweep=sweep, trainer={"max_epochs": 1}, data=short)
    folder = tmp_path / "rates"
    for options in (["-o", folder], ["--resume", folder]):
        result = soloist("train", recipe, "--sweep", *options, "-q")
        assert result.code == 0, result.err
        assert result.out.splitlines()[1].split()[:2] == ["trial-000", "done"]
        assert result.err == f"best: {folder / 'best.yaml'}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sweep", "--stages", "train"], "choose one of --stages and --sweep"),
        (["--sweep", "--overwrite"], "--overwrite is not for --sweep"),
        (["--stages", "all", "--resume", "x"], "--resume is not for --stages: the same command goes on"),
        (["--jobs", "2"], "--jobs is for --sweep"),
        (["--sweep", "--resume", "x", "-o", "y"], "leave out --output"),
    ],
)
def test_options_of_another_form_are_refused(soloist, write_recipe, options, message):
    result = soloist("train", write_recipe(), *options)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert message in result.err
