"""When a training stops that gets no better."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import ConfigError
from soloist.training import read_recipe, train
from soloist.training.loop.callbacks import Patience


def stops_at(figures, *, resumed_after=None, mode="max", **options):
    """The number of the validation that a training stops after; None if it goes on."""
    callback = Patience("valid/figure", mode, **options)
    trainer = SimpleNamespace(callback_metrics={}, should_stop=False)
    for number, figure in enumerate(figures, start=1):
        trainer.callback_metrics["valid/figure"] = torch.tensor(figure)
        callback.on_validation_end(trainer, None)
        if trainer.should_stop:
            return number
        if number == resumed_after:
            state = callback.state_dict()
            callback = Patience("valid/figure", mode, **options)
            callback.load_state_dict(state)
    return None


@pytest.mark.parametrize(
    ("figures", "options", "expected"),
    [
        ([1.0, 1.0, 1.0], {"patience": 2}, 3),
        ([1.0, 1.0, 2.0, 2.0, 2.0], {"patience": 2}, 5),
        ([1.0, 1.0, 1.0, 1.0, 1.0], {"patience": 2, "plateaus": 2}, 5),
        # An improvement begins the plateau anew, and takes none back.
        ([1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0], {"patience": 2, "plateaus": 2}, 7),
        ([1.0, 0.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0], {"patience": 2, "plateaus": 2}, 8),
        # What is gained in small steps counts once it is enough.
        ([1.0, 1.25, 1.5, 1.75, 2.0], {"patience": 3, "least": 0.4}, None),
        ([1.0, 1.25, 1.5, 1.75], {"patience": 3, "least": 1.0}, 4),
        ([float("nan"), float("nan")], {"patience": 2}, 2),
    ],
)
def test_plateaus_are_counted(figures, options, expected):
    assert stops_at(figures, **options) == expected
    assert stops_at([-figure for figure in figures], mode="min", **options) == expected


@given(
    figures=st.lists(st.integers(0, 5).map(float), max_size=30),
    patience=st.integers(1, 4),
    plateaus=st.integers(1, 4),
    interruption=st.integers(1, 30),
)
def test_an_interruption_changes_nothing(figures, patience, plateaus, interruption):
    options = {"patience": patience, "plateaus": plateaus}
    stopped = stops_at(figures, **options)
    assert stops_at(figures, resumed_after=interruption, **options) == stopped
    assert stopped is None or stopped > patience * plateaus


def test_a_training_stops_after_its_plateaus_and_stays_stopped(write_recipe, tmp_path):
    recipe = read_recipe(
        write_recipe(
            patience=1,
            max_plateaus=2,
            min_delta=100.0,
            trainer={"max_epochs": 9},
            data={"test": None, "examples_per_epoch": 2},
        )
    )
    for resume in (False, True):
        train(recipe, tmp_path / "run", resume=resume, quiet=True)
        with (tmp_path / "run" / "metrics.csv").open() as file:
            assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_plateaus": 2}, "state patience as well"),
        ({"min_delta": 0.1}, "state patience as well"),
        ({"patience": 1, "max_plateaus": 0}, "max_plateaus must be 1 or more, not 0"),
        ({"patience": 1, "min_delta": -1.0}, "min_delta must be 0 or more, not -1"),
    ],
)
def test_what_has_no_meaning_is_refused(write_recipe, changes, message):
    with pytest.raises(ConfigError, match=message):
        read_recipe(write_recipe(**changes))
