"""Trainings begin with the statistics of their examples, where the separator has any."""

from __future__ import annotations

import pytest
import torch

from soloist.training import SeparationTask, read_recipe
from soloist.training.data.loaders import RunData

BRIEF = [
    ("data.train.corpus.songs", "2"),
    ("data.train.corpus.seconds", "2.0"),
    ("data.train.duration", "0.5"),
    ("data.examples_per_epoch", "10"),
    ("data.batch_size", "2"),
]


@pytest.fixture
def recipe():
    return read_recipe("tiny-slicq", BRIEF)


def test_a_separator_is_shown_the_examples_of_its_first_epoch(recipe):
    data, task = RunData(recipe), SeparationTask(recipe)
    data.show_to(task.separator)
    whitening = task.separator.network.blocks[0].whitening
    mixtures = [torch.from_numpy(data.train_mixer.draw(index).mixture)[None] for index in range(10)]
    again = SeparationTask(recipe).separator
    again.measure(mixtures)
    torch.testing.assert_close(whitening.shift, again.network.blocks[0].whitening.shift)
    assert (whitening.shift < 0).all()
    assert (whitening.scale != 1).all()


def test_who_has_no_statistics_draws_no_examples(recipe_values):
    from soloist.training import Recipe

    recipe = Recipe.parse(recipe_values, "humming")
    data, task = RunData(recipe), SeparationTask(recipe)
    before = [parameter.clone() for parameter in task.separator.parameters()]
    data.train_mixer.draw = None
    data.show_to(task.separator)
    assert all(torch.equal(old, new) for old, new in zip(before, task.separator.parameters(), strict=True))
