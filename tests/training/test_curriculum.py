"""Trainings in phases, and with examples that are kept: the same whoever draws them, and whatever happens."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
from itertools import chain, pairwise

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import ConfigError, UsageError
from soloist.mixing import KeptMixer, PoolMixer
from soloist.training import Curriculum, SeparationTask, read_recipe, train
from soloist.training.data.batches import BatchSampler
from soloist.training.data.mixers import build_train_mixer, build_valid_mixer
from soloist.training.loop.checkpoints import read_checkpoint

PHASES = [{"until": 1, "duration": 0.1, "batch_size": 6}, {"until": 2, "duration": 0.2}]
TINY = {"test": None, "valid_examples": 2}


@pytest.fixture
def seen(monkeypatch):
    """Note the shape of what each step is trained on."""
    shapes, step = [], SeparationTask.training_step

    def noting(self, batch, batch_idx):
        shapes.append((len(batch.mixture), batch.mixture.shape[-1]))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SeparationTask, "training_step", noting)
    return shapes


def state(folder):
    return read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"]


def assert_same_weights(one, other):
    one, other = state(one), state(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


def losses(folder):
    with (folder / "metrics.csv").open() as file:
        return [row["train/loss"] for row in csv.DictReader(file)]


phases_of = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), max_size=4).map(
    lambda parts: [
        (sum(length for length, _ in parts[: place + 1]), parts[place][1]) for place in range(len(parts))
    ]
)


@given(batches=st.integers(1, 5), batch_size=st.integers(1, 6), phases=phases_of)
def test_every_example_is_in_one_batch_and_its_phase_is_that_of_the_batch(batches, batch_size, phases):
    curriculum = Curriculum(batches, batch_size, phases)
    ends = [until * batches for until, _ in phases]
    total = (ends[-1] if ends else 0) + 7
    rows = [curriculum.examples(batch) for batch in range(total)]
    assert list(chain.from_iterable(rows)) == list(range(rows[-1].stop))
    assert all(one.stop == other.start for one, other in pairwise(rows))
    for batch, row in enumerate(rows):
        phase = sum(batch >= end for end in ends)
        assert {curriculum.phase(example) for example in row} == {phase}
        assert len(row) == curriculum.batch_sizes[phase]


def test_processes_share_the_batches_of_every_phase():
    curriculum = Curriculum(2, 6, [(1, 4)])
    one, *two = (
        list(BatchSampler(curriculum, lambda: 1, rank=rank, world_size=size))
        for rank, size in ((0, 1), (0, 2), (1, 2))
    )
    assert [len(batch) for batch in one] == [4, 6]
    assert one == [[*left, *right] for left, right in zip(*two, strict=True)]
    with pytest.raises(UsageError, match="multiple of 4"):
        BatchSampler(curriculum, lambda: 0, world_size=4)


def test_excerpts_grow_and_an_epoch_keeps_its_steps(write_recipe, seen, tmp_path):
    recipe = read_recipe(write_recipe(data={**TINY, "curriculum": PHASES}))
    train(recipe, tmp_path / "run", quiet=True)
    assert seen == [(6, 100)] * 6 + [(2, 200)] * 6 + [(2, 400)] * 6
    written = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["data"]["curriculum"]
    assert written == PHASES


def train_until_killed(recipe, folder, step):
    """Train in a process of its own, which is killed at the beginning of a step."""

    def run():
        ordinary = SeparationTask.training_step

        def dying(self, batch, batch_idx):
            if self.trainer.global_step == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return ordinary(self, batch, batch_idx)

        SeparationTask.training_step = dying
        train(recipe, folder, quiet=True)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(("step", "folder"), [(3, None), (6, "cache"), (9, "cache"), (13, None)])
def test_a_training_that_is_killed_within_a_phase_goes_on_as_if_it_had_not_been(
    write_recipe, seen, tmp_path, step, folder
):
    cache = {"examples": 5, "folder": folder and str(tmp_path / folder)}
    data = {**TINY, "curriculum": PHASES, "cache": cache}
    recipe = read_recipe(write_recipe(data=data, checkpoint_every=2))
    train_until_killed(recipe, tmp_path / "killed", step)
    train(recipe, tmp_path / "whole", quiet=True)
    expected = list(seen)
    seen.clear()
    train(recipe, tmp_path / "killed", resume=True, quiet=True)
    assert seen == expected[step // 2 * 2 :]
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")


def test_where_examples_are_kept_changes_nothing_and_another_recipe_does_not_read_them(
    write_recipe, tmp_path
):
    folder = tmp_path / "cache"
    recipes = {
        name: read_recipe(write_recipe(data={**TINY, "cache": {"examples": 5, **place}}))
        for name, place in {"memory": {}, "disk": {"folder": str(folder)}}.items()
    }
    for name, recipe in recipes.items():
        train(recipe, tmp_path / name, quiet=True)
    assert_same_weights(tmp_path / "memory", tmp_path / "disk")
    assert losses(tmp_path / "memory") == losses(tmp_path / "disk")
    kept = {path.parent.name: path for path in folder.rglob("*.safetensors")}
    assert len(kept) == 2, "training and validation have a folder each"
    assert len(list(folder.rglob("*"))) == 2 + 5 + 2
    changed = read_recipe(
        write_recipe(
            data={"cache": {"examples": 5, "folder": str(folder)}, "train": {"init_args": {"snr": [0, 0]}}}
        )
    )
    mixer = build_train_mixer(changed)
    assert isinstance(mixer, PoolMixer)
    assert isinstance(mixer.mixer, KeptMixer)
    assert mixer.mixer.folder.name not in kept
    valid = build_valid_mixer(recipes["disk"])
    assert valid.folder.name in kept


def test_a_mixer_of_several_mixers_is_shortened_as_a_whole(write_recipe, recipe_values):
    mixer = recipe_values["data"]["train"]
    several = {
        "class_path": "soloist.mixing.PriorMixer",
        "init_args": {"mixers": [mixer, mixer], "priors": [1, 2]},
    }
    values = {
        **recipe_values["data"],
        "train": several,
        "valid": None,
        "curriculum": [{"until": 1, "duration": 0.1}],
    }
    path = write_recipe()
    path.write_text(yaml.safe_dump({**recipe_values, "data": values}))
    mixer = build_train_mixer(read_recipe(path))
    assert [mixer.draw(index).mixture.shape[-1] for index in (0, 11, 12)] == [100, 100, 400]
    # What replaces an unreadable example is as long as that one.
    assert mixer.draw((1 << 40) + 11).mixture.shape[-1] == 100


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"curriculum": [{"until": 2}, {"until": 2}]}, "each phase must end after the one before it"),
        ({"curriculum": [{"until": 2, "durtion": 1}]}, "unknown key 'durtion'; did you mean 'duration'"),
        ({"curriculum": [{"duration": 1}]}, "missing until"),
        ({"curriculum": [{"until": 0}]}, "until must be 1 or more"),
        ({"curriculum": [{"until": 1, "duration": 0}]}, "duration must be more than 0 s"),
        ({"cache": {"examples": 0}}, "data.cache.examples must be 1 or more"),
        ({"cache": {"folder": "x"}}, "missing examples"),
    ],
)
def test_what_makes_no_sense_is_told(write_recipe, data, message):
    with pytest.raises(ConfigError, match=message):
        read_recipe(write_recipe(data=data))


def test_epochs_that_are_cut_do_not_go_with_phases(write_recipe, tmp_path):
    recipe = read_recipe(write_recipe(data={"curriculum": PHASES}, trainer={"limit_train_batches": 2}))
    with pytest.raises(ConfigError, match=r"set that in place of trainer\.limit_train_batches"):
        train(recipe, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
