"""A training that was killed goes on as if nothing had happened."""

from __future__ import annotations

import csv
import multiprocessing
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml

from soloist.errors import TrainingError
from soloist.training import read_recipe, train
from soloist.training.loop.checkpoints import read_checkpoint

SCHEDULE = {
    "class_path": "torch.optim.lr_scheduler.ReduceLROnPlateau",
    "init_args": {"patience": 0, "threshold": 1e9, "threshold_mode": "abs"},
}
# Everything that has a state: weights and their average, optimizer, schedule, warm-up, patience, best states.
STATEFUL = {
    "scheduler": SCHEDULE,
    "warmup": 3,
    "patience": 5,
    "keep": 2,
    "checkpoint_every": 2,
    "data": {"test": {}},
}


def metrics(folder: Path) -> list[dict[str, str]]:
    """The rows of `metrics.csv`, without what tells the time."""
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in rows]


def is_equal(one: object, other: object) -> bool:
    """Whether two states are equal to the bit, time left out."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        keys = one.keys() - {"elapsed"}
        return keys == other.keys() - {"elapsed"} and all(is_equal(one[key], other[key]) for key in keys)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(is_equal, one, other))
    return one == other


def assert_same_run(one: Path, other: Path) -> None:
    """All that a training leaves is equal to the bit."""
    assert metrics(one) == metrics(other)
    states = [read_checkpoint(folder / "checkpoints" / "last.ckpt") for folder in (one, other)]
    for part in ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "callbacks"):
        assert is_equal(states[0][part], states[1][part]), part
    names = [sorted(path.name for path in (folder / "checkpoints").iterdir()) for folder in (one, other)]
    assert names[0] == names[1]
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (one, other)]
    assert weights[0] == weights[1]


@pytest.fixture(scope="module")
def dying_module(tmp_path_factory) -> str:
    """A module with a loss that kills its process at one of its calls, in a way that nobody can intercept."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "dying.py").write_text(DYING)
    sys.path.insert(0, str(folder))
    yield "dying"
    sys.path.remove(str(folder))


DYING = """
import os
import signal

from soloist.losses import PermutationInvariant
from soloist.losses import SISDR


class Dying(PermutationInvariant):
    def __init__(self, calls: int = 0) -> None:
        super().__init__(SISDR())
        self.left = calls

    def forward(self, prediction, references):
        if self.training:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(prediction, references)
"""


@pytest.fixture(scope="module")
def recipe_that_dies(write_shared_recipe, dying_module):
    """The recipe, of which the training is killed at a call of its loss; 0 for never."""

    def make(calls: int, **changes):
        loss = {"class_path": "dying.Dying", "init_args": {"calls": calls}}
        return read_recipe(
            write_shared_recipe(**{**STATEFUL, "imports": [dying_module], "loss": loss, **changes})
        )

    return make


@pytest.fixture(scope="module")
def whole(recipe_that_dies, tmp_path_factory) -> Path:
    """The folder of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    train(recipe_that_dies(0), folder, quiet=True)
    return folder


@pytest.fixture(scope="module")
def whole_steps(recipe_that_dies, tmp_path_factory) -> Path:
    """The same for 14 steps, of which the last two are the beginning of an epoch."""
    folder = tmp_path_factory.mktemp("steps")
    train(recipe_that_dies(0, trainer={"max_steps": 14, "max_epochs": -1}), folder, quiet=True)
    return folder


def exit_code_of(recipe, folder: Path, **options) -> int:
    """Train in a process of its own, and say how it ended."""
    process = multiprocessing.get_context("fork").Process(
        target=train, args=(recipe, folder), kwargs={"quiet": True, **options}
    )
    process.start()
    process.join()
    return process.exitcode


# In the first epoch before and after a checkpoint, at the last step of an epoch, at the first one of the next
# (a checkpoint is written before it), in the last epoch; and twice.
@pytest.mark.slow
@pytest.mark.parametrize("calls", [(1,), (4,), (6,), (7,), (16,), (5, 6)])
def test_a_run_that_was_killed_goes_on_to_the_same_end(recipe_that_dies, whole, tmp_path, calls):
    killed = tmp_path / "killed"
    for place, call in enumerate(calls):
        assert exit_code_of(recipe_that_dies(call), killed, resume=place > 0) == -signal.SIGKILL
    assert not (killed / "model").exists()
    # What a kill in the middle of writing a checkpoint leaves.
    (killed / "checkpoints").mkdir(exist_ok=True)
    (killed / "checkpoints" / ".soloist-0123456789abcdef.partial").write_bytes(b"half a checkpo")
    train(recipe_that_dies(0), killed, resume=True, quiet=True)
    assert len(metrics(killed)) == 18
    assert_same_run(whole, killed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "trainer",
    [
        {"max_epochs": 3, "val_check_interval": 0.5},
        {"max_epochs": 3, "accumulate_grad_batches": 2},
        {"max_epochs": 4, "check_val_every_n_epoch": 2},
        {"max_steps": 14, "max_epochs": -1},
    ],
    ids=lambda trainer: " ".join(trainer),
)
def test_a_run_goes_on_whatever_the_trainer_is_told(recipe_that_dies, tmp_path, trainer):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(recipe_that_dies(0, trainer=trainer), whole, quiet=True)
    for place, call in enumerate((6, 5)):
        recipe = recipe_that_dies(call, trainer=trainer)
        assert exit_code_of(recipe, killed, resume=place > 0) == -signal.SIGKILL
    train(recipe_that_dies(0, trainer=trainer), killed, resume=True, quiet=True)
    assert_same_run(whole, killed)


def test_a_finished_run_goes_on_for_more_epochs(recipe_that_dies, whole, tmp_path):
    short = tmp_path / "short"
    train(recipe_that_dies(0, trainer={"max_epochs": 2}), short, quiet=True)
    train(recipe_that_dies(0), short, resume=True, quiet=True)
    assert_same_run(whole, short)
    assert len(yaml.safe_load((short / "environment.yaml").read_text())) == 2


@pytest.mark.slow
@pytest.mark.parametrize("steps", [7, 11, 12])
def test_a_run_that_ended_within_an_epoch_goes_on_for_more_steps(
    recipe_that_dies, whole_steps, tmp_path, steps
):
    short = tmp_path / "short"
    for most in (steps, 14):
        recipe = recipe_that_dies(0, trainer={"max_steps": most, "max_epochs": -1})
        train(recipe, short, resume=most > steps, quiet=True)
    # Where it ended, the mean of what there was of the epoch has been written.
    table, ends = short / "metrics.csv", metrics(whole_steps)[steps - 1]["train/loss_epoch"]
    table.write_text(with_value(table, steps - 1, "train/loss_epoch", ends))
    assert_same_run(whole_steps, short)


def with_value(table: Path, row: int, column: str, value: str) -> str:
    """A table in which one value is another."""
    heading, *rows = (line.split(",") for line in table.read_text().splitlines())
    rows[row][heading.index(column)] = value
    return "".join(",".join(line) + "\n" for line in (heading, *rows))


def test_a_full_disk_leaves_the_last_checkpoint_and_says_what_to_do(recipe_that_dies, whole, tmp_path):
    folder = tmp_path / "full"
    train(recipe_that_dies(0, trainer={"max_epochs": 1}), folder, quiet=True)
    last = folder / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    message = r"cannot write .*last\.ckpt: .*intact.* soloist train --resume"
    with pytest.raises(TrainingError, match=message), files_of_at_most(len(before) // 2):
        train(recipe_that_dies(0), folder, resume=True, quiet=True)
    assert last.read_bytes() == before
    assert not list(last.parent.glob(".*"))
    train(recipe_that_dies(0), folder, resume=True, quiet=True)
    assert_same_run(whole, folder)


def test_checkpoints_hold_nothing_but_tensors_and_plain_values(whole):
    # `weights_only` refuses everything else.
    state = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    assert {"optimizer_states", "lr_schedulers", "loops", "callbacks"} <= state.keys()


def test_a_damaged_checkpoint_is_told(recipe_that_dies, whole, tmp_path):
    damaged = Path(shutil.copytree(whole, tmp_path / "damaged"))
    (damaged / "checkpoints" / "last.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match=r"cannot read the checkpoint .*last\.ckpt"):
        train(recipe_that_dies(0), damaged, resume=True, quiet=True)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to let files grow beyond a size (bytes), as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
