"""A training leaves a folder with everything about it, and a model that is the best one."""

from __future__ import annotations

import csv
import json

import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file

from soloist.errors import ConfigError, SoloistError, TrainingError, UsageError
from soloist.training import Checkpoints, read_recipe, train
from soloist.training.loop.checkpoints import best_checkpoint, read_checkpoint, separator_state
from soloist.training.loop.task import SeparationTask
from soloist.zoo import Card, load


@pytest.fixture
def run(write_recipe, tmp_path):
    """Train the recipe with some values changed, and give the folder."""

    def start(folder="run", resume=False, tested=False, **changes):
        if not tested:
            changes["data"] = {**changes.get("data", {}), "test": None}
        train(read_recipe(write_recipe(**changes)), tmp_path / folder, resume=resume, quiet=True)
        return tmp_path / folder

    return start


def metrics(folder) -> list[dict[str, str]]:
    """The rows of `metrics.csv`, without what tells the time."""
    with (folder / "metrics.csv").open() as file:
        return [
            {name: value for name, value in row.items() if not name.startswith("time/")}
            for row in csv.DictReader(file)
        ]


def test_everything_about_a_run_is_kept(run):
    folder = run(tested=True)
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert recipe["data"]["batch_size"] == 2
    assert read_recipe(folder / "recipe.yaml").to_dict() == recipe
    (start,) = yaml.safe_load((folder / "environment.yaml").read_text())
    assert start["seed"] == 0
    assert start["versions"]["torch"] == torch.__version__
    assert {"command", "platform", "devices", "started"} <= start.keys()
    assert [row["step"] for row in metrics(folder)] == [str(step) for step in range(18)]
    results = json.loads((folder / "results.json").read_text())
    assert results["steps"] == 18
    assert results["epochs"] == 3
    assert results["tests"]["held out"]["examples"] == 6
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * 2
    stated = results["tests"]["held out"]["targets"]["all"]["si_sdri"]
    mean = sum(float(row["si_sdri"]) for row in rows) / len(rows)
    assert stated["mean"] == pytest.approx(mean, abs=1e-3)
    assert stated["low"] < mean < stated["high"]
    card = Card.read(folder / "model" / "card.yaml")
    assert "3 epochs (18 steps)" in card.notes
    assert {figure.metric for figure in card.quality} == {"SI-SDRi (dB)", "SDR (dB)", "SDRi (dB)"}


def test_the_model_is_the_best_state_and_its_weights_the_averaged_ones(run):
    folder = run(keep=2)
    checkpoints = folder / "checkpoints"
    last = read_checkpoint(checkpoints / "last.ckpt")
    best = last["callbacks"][Checkpoints.__qualname__]["best"]
    measured = {row["step"]: float(row["valid/si_sdri"]) for row in metrics(folder) if row["valid/si_sdri"]}
    ranked = sorted(measured, key=measured.__getitem__, reverse=True)[:2]
    assert list(best) == [f"best-{int(step) + 1}.ckpt" for step in ranked]
    assert {path.name for path in checkpoints.iterdir()} == {"last.ckpt", *best}
    state = load_file(folder / "model" / "model.safetensors")
    average = separator_state(best_checkpoint(checkpoints))
    assert all(torch.equal(state[name], average[name]) for name in state)
    raw = read_checkpoint(best_checkpoint(checkpoints))["current_model_state"]
    assert not all(torch.equal(state[name], raw[f"separator.{name}"]) for name in state)
    separator = load(folder / "model")
    assert separator(torch.rand(1, 1, 400)).shape == (1, 2, 1, 400)


def test_the_average_follows_its_recursion(run):
    # Epochs of one step, of which all are kept, tell how weights and average go on.
    folder = run(data={"examples_per_epoch": 2}, trainer={"max_epochs": 5}, keep=5, ema=0.8)
    average = None
    for step in range(1, 6):
        state = read_checkpoint(folder / "checkpoints" / f"best-{step}.ckpt")
        current = state["current_model_state"]
        if average is None:
            average = current
        average = {name: 0.8 * average[name] + 0.2 * current[name] for name in current}
        for name, value in state["state_dict"].items():
            torch.testing.assert_close(value, average[name], rtol=1e-5, atol=1e-6)


def test_validation_sees_the_averaged_weights(run):
    folder = run(ema=0.999999, trainer={"max_epochs": 2})
    validated = [row["valid/loss"] for row in metrics(folder) if row["valid/loss"]]
    # Nothing but the first step reaches an average that hardly moves.
    assert float(validated[0]) == pytest.approx(float(validated[1]), rel=1e-3)


def test_training_goes_on_with_new_examples_in_each_epoch(run):
    folder = run(ema=None, optimizer={"init_args": {"lr": 0.0}}, trainer={"max_epochs": 2})
    losses = [row["train/loss"] for row in metrics(folder)]
    assert len(set(losses)) == len(losses) == 12


@pytest.mark.slow
def test_training_does_not_depend_on_workers(run):
    alone, helped = (
        run(f"run{workers}", data={"workers": workers}, trainer={"max_epochs": 2}) for workers in (0, 2)
    )
    assert metrics(alone) == metrics(helped)


def test_a_training_stops_when_it_gets_no_better_and_stays_stopped(run):
    changes = {"patience": 1, "optimizer": {"init_args": {"lr": 0.0}}, "trainer": {"max_epochs": 9}}
    folder = run(**changes)
    rows = metrics(folder)
    assert len(rows) == 2 * 6
    run(resume=True, **changes)
    assert metrics(folder) == rows


@pytest.mark.parametrize(
    ("scheduler", "rates"),
    [
        ({"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1}}, [1, 0.1, 0.01]),
        (
            {
                "class_path": "torch.optim.lr_scheduler.ReduceLROnPlateau",
                "init_args": {"patience": 0, "threshold": 1e9, "threshold_mode": "abs"},
            },
            [1, 1, 0.1],
        ),
    ],
)
def test_schedules_step_once_an_epoch(run, scheduler, rates):
    folder = run(scheduler=scheduler, optimizer={"init_args": {"lr": 1e-4}})
    by_epoch = {row["epoch"]: float(row["train/rate"]) for row in metrics(folder)[::6]}
    assert list(by_epoch.values()) == pytest.approx([1e-4 * rate for rate in rates])


def test_the_rate_warms_up_step_by_step(run):
    folder = run(warmup=4, optimizer={"init_args": {"lr": 0.01}}, trainer={"max_epochs": 1})
    rates = [float(row["train/rate"]) for row in metrics(folder)]
    # Each row tells the rate of the next step.
    assert rates == pytest.approx([0.004, 0.006, 0.008, 0.01, 0.01, 0.01])


def test_parameters_have_rates_of_their_own(run):
    frozen = run("frozen", ema=None, rates={"^filterbank": 0.0}, trainer={"max_epochs": 1})
    before = read_recipe(frozen / "recipe.yaml")
    torch.manual_seed(before.seed)
    fresh = before.build_separator().state_dict()
    trained = separator_state(frozen / "checkpoints" / "last.ckpt")
    moved = {name for name in fresh if not torch.equal(fresh[name], trained[name])}
    assert moved
    assert all(name.startswith("network.") for name in moved)
    with pytest.raises(ConfigError, match="no parameter's name has 'lstm' in it"):
        run("none", rates={"lstm": 0.1})


def test_gradients_accumulate_to_those_of_a_larger_batch(run):
    whole = run("whole", ema=None, trainer={"max_epochs": 1}, data={"batch_size": 4, "valid_examples": 4})
    parts = run("parts", ema=None, trainer={"max_epochs": 1, "accumulate_grad_batches": 2})
    states = [separator_state(folder / "checkpoints" / "last.ckpt") for folder in (whole, parts)]
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_optimizers_pass_once_over_memory_for_the_same_step(write_recipe, name):
    part = {"class_path": f"torch.optim.{name}", "init_args": {"lr": 0.01, "weight_decay": 0.1}}
    stated = {**part, "init_args": {**part["init_args"], "foreach": False}}
    weights = []
    for optimizer, fused in ((part, True), (stated, None)):
        task = SeparationTask(read_recipe(write_recipe(optimizer=optimizer)))
        taken = task.configure_optimizers()[0][0]
        assert all(group["fused"] is fused for group in taken.param_groups)
        generator = torch.Generator().manual_seed(1)
        for weight in (weight for group in taken.param_groups for weight in group["params"]):
            weight.data = torch.randn(weight.shape, generator=generator)
            weight.grad = torch.randn(weight.shape, generator=generator)
        for _ in range(3):
            taken.step()
        weights.append([weight for group in taken.param_groups for weight in group["params"]])
    torch.testing.assert_close(*weights)


def test_gradients_are_clipped(run):
    folder = run(
        ema=None,
        optimizer={"class_path": "torch.optim.SGD", "init_args": {"lr": 1.0}},
        trainer={"max_steps": 1, "gradient_clip_val": 1e-3},
    )
    recipe = read_recipe(folder / "recipe.yaml")
    torch.manual_seed(recipe.seed)
    fresh = recipe.build_separator().state_dict()
    trained = separator_state(folder / "checkpoints" / "last.ckpt")
    step = torch.cat([(trained[name] - fresh[name]).flatten() for name in fresh])
    assert step.norm() == pytest.approx(1e-3, rel=1e-2)


def test_numbers_that_are_not_finite_stop_a_training_and_leave_its_checkpoint(run, tmp_path):
    absurd = {"class_path": "torch.optim.SGD", "init_args": {"lr": 1e30}}
    with pytest.raises(TrainingError, match=r"of step 1 (is|are) not finite; the step was made of \w+/\d \+"):
        run(optimizer=absurd, ema=None, checkpoint_every=1)
    state = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert state["global_step"] == 1
    assert all(value.isfinite().all() for value in state["state_dict"].values())


def test_a_folder_with_a_run_is_refused_with_the_ways_out(run, tmp_path):
    folder = run(trainer={"max_epochs": 1})
    before = (folder / "metrics.csv").read_bytes()
    with pytest.raises(UsageError, match=r"--resume .*--overwrite.*\(-o\)"):
        run()
    assert (folder / "metrics.csv").read_bytes() == before
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("...")
    with pytest.raises(UsageError, match="something else than a run"):
        run("thesis")
    with pytest.raises(UsageError, match=r"no run in .* to go on with"):
        run("nowhere", resume=True)


def test_a_recipe_that_cannot_be_trained_leaves_the_run_that_was_there(run, tmp_path, write_recipe):
    folder = run(trainer={"max_epochs": 1})
    for changes, message in (
        ({"trainer": {"max_epoch": 1}}, "unknown key 'max_epoch'; did you mean 'max_epochs'"),
        ({"separator": {"init_args": {"network": {"init_args": {"num_filters": 9}}}}}, "cannot be trained"),
    ):
        with pytest.raises(ConfigError, match=message):
            train(read_recipe(write_recipe(**changes)), folder, overwrite=True, quiet=True)
        assert (folder / "model" / "card.yaml").exists()
    train(read_recipe(write_recipe(seed=3)), folder, overwrite=True, quiet=True)
    assert len(yaml.safe_load((folder / "environment.yaml").read_text())) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainer": {"logger": True}}, "logger is not the recipe's to say"),
        ({"trainer": {"max_epochs": "many"}}, "max_epochs"),
        ({"trainer": {"strategy": "dpp"}}, "dpp"),
        ({"patience": 2, "data": {"valid": None}}, "no data.valid to wait for"),
        ({"monitor": "valid/pesq"}, "no figure 'valid/pesq'"),
        ({"monitor": "valid/sisdri"}, "did you mean 'valid/si_sdri'?"),
        (
            {"optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": -1.0}}},
            "Invalid learning rate",
        ),
        ({"rates": {"nothing": 1e-4}}, "no parameter's name has 'nothing' in it"),
        ({"rates": {"(": 1e-4}}, "'(' is not a regular expression"),
        ({"rates": {"blocks": -1.0}}, "-1 of 'blocks' must be 0 or more"),
        ({"scheduler": {"class_path": "torch.optim.lr_scheduler.StepLR"}}, "step_size"),
        ({"loss": {"class_path": "soloist.losses.KLDivergence"}}, "needs a latent distribution"),
        ({"trainer": {"precision": 17}}, "precision: Expected one of [64, 32, 16] or one"),
        ({"data": {"root": "/nowhere"}}, "there is no folder /nowhere"),
        ({"data": {"valid": {"splt": "test"}}}, "unknown key 'splt'; did you mean 'split'?"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_line_and_leaves_nothing(run, tmp_path, changes, message):
    with pytest.raises((ConfigError, UsageError, TrainingError)) as raised:
        run(**changes)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_training_without_validation_keeps_its_last_state(run):
    folder = run(data={"valid": None}, trainer={"max_epochs": 1})
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["last.ckpt"]
    assert (folder / "model" / "model.safetensors").exists()


@pytest.fixture
def damaged_hummers(hummers, tmp_path):
    """The clips as FLAC, of which one begins well and then is damaged."""
    root = tmp_path / "damaged"
    for path in sorted(hummers.rglob("*.wav")):
        (root / path.parent.name).mkdir(parents=True, exist_ok=True)
        audio, rate = soundfile.read(path)
        soundfile.write(root / path.parent.name / f"{path.stem}.flac", audio, rate, subtype="PCM_16")
    victim = root / "bass" / "1.flac"
    content = bytearray(victim.read_bytes())
    content[len(content) // 3 :] = bytes(len(content) - len(content) // 3)
    victim.write_bytes(content)
    return root


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_cannot_be_read_is_skipped_counted_and_named_once(run, damaged_hummers, caplog, workers):
    data = {"root": str(damaged_hummers), "examples_per_epoch": 24, "workers": workers}
    folder = run(data=data, trainer={"max_epochs": 2})
    warned = [record.message for record in caplog.records if "skipped" in record.message]
    assert len(warned) == 1
    assert "bass/1.flac" in warned[0]
    ((file, told),) = json.loads((folder / "results.json").read_text())["skipped"].items()
    assert file == str(damaged_hummers / "bass" / "1.flac")
    assert told["reason"] in warned[0]
    assert told["examples"] > 1
    assert len(metrics(folder)) == 24


def test_a_corpus_of_unreadable_files_is_given_up(run, damaged_hummers):
    for path in damaged_hummers.rglob("*.flac"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 3] + bytes(len(content) - len(content) // 3))
    with pytest.raises(SoloistError, match=r"20 examples in a row cannot be read, the last one .*\.flac"):
        run(data={"root": str(damaged_hummers)})
