"""A stranger's parts in a recipe: trained, resumed, and run again only with consent."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from faults import run_forked
from soloist import clear
from soloist.training.loop.checkpoints import read_checkpoint
from strangers import MINE, RATE, recipe_values, save_model_of_theirs, write


def called(*arguments: object, home: Path) -> str:
    """Run a command that succeeds in a process of its own, with a home of its own; return its output."""
    command = [sys.executable, "-m", "soloist.cli.main", *map(str, arguments)]
    environment = {**os.environ, "SOLOIST_HOME": str(home), "COLUMNS": "160"}
    done = subprocess.run(command, env=environment, cwd=home, input="", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def figures(run: Path) -> list[dict[str, str]]:
    """The rows of `metrics.csv`, without what tells the time."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("others")


@pytest.fixture(scope="module")
def run(folder) -> Path:
    """The run of a recipe whose parts are those of a file that the command line names."""
    command = ("train", write(folder, "mine"), "--import", folder / "mine.py", "-o", folder / "run", "-q")
    done = run_forked(*command, watch=folder, prepare=partial(os.environ.update, SOLOIST_HOME=str(folder)))
    assert done.code == 0, done.err
    return folder / "run"


@pytest.fixture
def at_home(tmp_path, monkeypatch) -> Path:
    """The home and the working folder of a user."""
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(tmp_path) -> Path:
    return save_model_of_theirs(tmp_path)


@pytest.fixture
def tone(tmp_path) -> Path:
    soundfile.write(tmp_path / "tone.wav", 0.3 * np.sin(np.arange(2000) / 3), RATE)
    return tmp_path / "tone.wav"


@pytest.mark.slow
def test_a_recipe_of_parts_in_a_file_is_trained_and_the_file_is_kept(soloist, run, folder):
    assert (run / "imports" / "mine.py").read_text() == (run / "model" / "mine.py").read_text() == MINE
    assert sorted(path.name for path in (run / "model").iterdir()) == [
        "card.yaml",
        "config.yaml",
        "mine.py",
        "model.safetensors",
    ]
    assert (folder / "steps").read_text() == "8"
    errors = [float(row["valid/error"]) for row in figures(run) if row["valid/error"]]
    assert len(errors) == 2
    best = read_checkpoint(run / "checkpoints" / "last.ckpt")["callbacks"]["Checkpoints"]["best"]
    assert list(best.values()) == pytest.approx([min(errors)])
    shown = yaml.safe_load(soloist("runs", run, "--json").out)
    assert shown[0]["best"] == pytest.approx(min(errors))
    assert shown[0]["lower_is_better"] is True


@pytest.mark.slow
def test_a_training_goes_on_without_the_file_to_the_same_end(soloist, run, folder, at_home):
    given = ("--import", folder / "mine.py", "-q", "-o", "run")
    assert soloist("train", folder / "mine.yaml", "--trainer.max_epochs", 1, *given).code == 0
    assert soloist("train", "--resume", "run", "--trainer.max_epochs", 2, "-q").code == 0
    assert figures(at_home / "run") == figures(run)
    weights = [(each / "model" / "model.safetensors").read_bytes() for each in (run, at_home / "run")]
    assert weights[0] == weights[1]
    assert (folder / "steps").read_text() == "8"


@pytest.mark.slow
def test_two_processes_with_the_imports_of_a_recipe_train_as_one_with_the_same_batch(run, tmp_path):
    recipe = write(tmp_path, "mine", imports=["mine.py"], loss=recipe_values("mine", tmp_path)["loss"])
    two = ("--trainer.devices=2", "--trainer.strategy=ddp")
    shown = called("train", recipe, "-o", tmp_path / "run", "-q", *two, home=tmp_path)
    assert shown.count("SI-SDRi") == 1
    losses = [[float(row["train/loss"]) for row in figures(each)] for each in (run, tmp_path / "run")]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    one, other = (json.loads((each / "results.json").read_text()) for each in (run, tmp_path / "run"))
    means = [part["tests"]["hums"]["targets"]["all"]["si_sdri"]["mean"] for part in (one, other)]
    assert means[1] == pytest.approx(means[0], abs=1e-3)
    assert len(yaml.safe_load((tmp_path / "run" / "environment.yaml").read_text())) == 1


@pytest.mark.slow
def test_two_processes_share_the_trials_of_a_sweep(soloist, at_home):
    values = {"method": "grid", "values": {"separator.network.filters": [8], "optimizer.lr": [0.01, 0.001]}}
    recipe = write(at_home, "mine", imports=["mine.py"], sweep=values, callbacks=[])
    brief = ("--data.workers", 0, "--trainer.max_epochs", 1)
    shown = soloist("train", recipe, "--sweep", "--jobs", 2, "-o", "sweep", "-q", *brief)
    assert shown.code == 0, shown.err
    lines = [line.split() for line in shown.out.splitlines()[1:]]
    assert [line[1] for line in lines] == ["done"] * 2
    assert sorted(line[-2] for line in lines) == ["0.001", "0.01"]


@pytest.mark.slow
def test_code_runs_only_with_consent(soloist, run, tone, at_home):
    # Handed on to somebody else.
    model = Path(shutil.copytree(run / "model", at_home / "model"))
    separate = ("separate", tone, "-m", model, "-q")
    refused = soloist(*separate, "-o", "refused")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert f"{model / 'mine.py'} (sha256" in refused.err
    assert "--trust" in refused.err
    assert not (at_home / "refused").exists()
    assert soloist(*separate, "--trust", "-o", "trusted").code == 0
    assert soloist(*separate, "--import", model / "mine.py", "-o", "imported").code == 0
    stems = [
        sorted(path.name for path in (at_home / name).rglob("*.wav")) for name in ("trusted", "imported")
    ]
    assert stems == [["high.wav", "low.wav"]] * 2
    # To trust a model once is no consent to the next process, and nothing is left beside its files.
    clear()
    assert soloist(*separate, "-o", "again").code == 2
    assert len(list(model.iterdir())) == 4


ASKED = """
import sys
from soloist.config.imports import ask_with
from soloist import load
asked = []
ask_with(lambda question: not asked.append(question))
load(sys.argv[1])
assert len(asked) == 1 and "mine.py" in asked[0], asked
"""


@pytest.mark.slow
def test_consent_is_stored_for_the_contents_of_the_file(soloist, model, tone, at_home):
    subprocess.run([sys.executable, "-c", ASKED, str(model)], check=True)
    called("separate", tone, "-m", model, "-q", "-o", at_home / "out", home=at_home)
    with (model / "mine.py").open("a") as file:
        file.write("print('I am another')\n")
    separate = ("separate", tone, "-m", model, "-q", "-o", at_home / "changed")
    for options in ((), ("--trust",)):
        changed = soloist(*separate, *options)
        assert changed.code == 2
        assert "mine.py is not what the model was trained with" in changed.err
        assert changed.out == ""
        assert not (at_home / "changed").exists()
    # Consent to one file is none to another that its place is given to.
    config = yaml.safe_load((model / "config.yaml").read_text())
    config["imports"][0]["sha256"] = hashlib.sha256((model / "mine.py").read_bytes()).hexdigest()
    (model / "config.yaml").write_text(yaml.safe_dump(config))
    asked = soloist(*separate)
    assert asked.code == 2
    assert "if you trust it" in asked.err


@pytest.fixture
def tracks(tmp_path) -> Path:
    folder = tmp_path / "tracks" / "one"
    folder.mkdir(parents=True)
    time = np.arange(2 * RATE) / RATE
    stems = {"low": 0.3 * np.sin(100 * np.pi * time), "high": 0.3 * np.sin(300 * np.pi * time)}
    for name, audio in {**stems, "mixture": sum(stems.values())}.items():
        soundfile.write(folder / f"{name}.wav", audio, RATE, subtype="FLOAT")
    return tmp_path / "tracks"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            ("evaluate", "MODEL", "TRACKS", "-o", "results", "--listen", 0, "-q"), marks=pytest.mark.slow
        ),
        pytest.param(("visualize", "MODEL", "TONE", "-o", "visualized"), marks=pytest.mark.slow),
        pytest.param(("export", "MODEL", "--to", "torchscript", "-o", "exported"), marks=pytest.mark.slow),
    ],
    ids=lambda command: command[0],
)
def test_commands_take_a_file_to_import(soloist, model, tone, tracks, at_home, command):
    places = {"MODEL": model, "TONE": tone, "TRACKS": tracks}
    arguments = [places.get(part, part) for part in command]
    refused = soloist(*arguments)
    assert "--trust" in refused.err
    assert refused.code in (1, 2)
    taken = soloist(*arguments, "--import", model / "mine.py")
    assert taken.code == 0, taken.err
