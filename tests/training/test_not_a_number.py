"""A monitored figure that is not a number: never best, and named."""

import csv
import logging
import math

import pytest

from soloist.training import read_recipe, train
from soloist.training.loop.checkpoints import LAST, best_checkpoint, read_checkpoint

UNDEFINED = """
from soloist.losses import SISDR, PermutationInvariant


class Undefined(PermutationInvariant):
    def __init__(self, everywhere: bool = False) -> None:
        super().__init__(SISDR())
        self.calls, self.first, self.everywhere = 0, 4, everywhere

    def forward(self, prediction, references):
        # The first calls are the rehearsal and the first validation, of two batches each.
        self.calls += not self.training
        undefined = self.everywhere or self.calls <= self.first
        return super().forward(prediction, references) * (float("nan") if undefined else 1.0)
"""


@pytest.fixture
def recipe_of(write_recipe, tmp_path):
    """A recipe whose validation loss is not a number at first, or never one."""
    module = tmp_path / "undefined.py"
    module.write_text(UNDEFINED)

    def make(*, everywhere, **changes):
        loss = {"class_path": "undefined.Undefined", "init_args": {"everywhere": everywhere}}
        data = {"test": None, "examples_per_epoch": 4}
        path = write_recipe(
            imports=[str(module)], valid_loss=loss, monitor="valid/loss", data=data, **changes
        )
        return read_recipe(path)

    return make


def run(recipe, folder, caplog):
    """Train; give the figures of the validations, and what the log says of them."""
    with caplog.at_level(logging.WARNING, "soloist"):
        train(recipe, folder, quiet=True)
    with (folder / "metrics.csv").open() as file:
        figures = [float(row["valid/loss"]) for row in csv.DictReader(file) if row["valid/loss"]]
    return figures, [message for message in caplog.messages if "number" in message]


def test_it_is_never_best_and_named_once(recipe_of, tmp_path, caplog):
    figures, said = run(recipe_of(everywhere=False), tmp_path / "run", caplog)
    assert math.isnan(figures[0])
    assert all(map(math.isfinite, figures[-1:]))
    numbers = {2 * (place + 1): figure for place, figure in enumerate(figures) if math.isfinite(figure)}
    best = min(numbers, key=numbers.__getitem__)
    assert best_checkpoint(tmp_path / "run/checkpoints").name == f"best-{best}.ckpt"
    (line,) = said
    assert line.startswith("valid/loss is not a number after step 2: such a validation is never the best")


def test_without_any_number_the_last_state_is_the_model_and_patience_ends_the_training(
    recipe_of, tmp_path, caplog
):
    recipe = recipe_of(everywhere=True, patience=2, trainer={"max_epochs": 5})
    figures, said = run(recipe, tmp_path / "run", caplog)
    assert len(figures) == 2
    checkpoints = tmp_path / "run/checkpoints"
    assert best_checkpoint(checkpoints) == checkpoints / LAST
    assert read_checkpoint(checkpoints / LAST)["callbacks"]["Checkpoints"]["best"] == {}
    assert said[1:] == ["valid/loss was never a number: the last state is kept as the best"]
    assert (tmp_path / "run/model/model.safetensors").exists()
