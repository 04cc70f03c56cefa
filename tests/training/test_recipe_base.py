"""Recipes that begin from others."""

from __future__ import annotations

import pytest

from soloist.errors import ConfigError
from soloist.training import read_recipe


@pytest.fixture
def begin(write_recipe, tmp_path):
    """Write a file that begins from the recipe of a second, or from another one."""
    write_recipe()

    def write(text: str, base: str = "humming.yaml", name: str = "mine.yaml"):
        path = tmp_path / "sub" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"recipe: {base}\n{text}")
        return path

    return write


def test_keys_are_put_in_place_of_those_of_the_other_recipe(begin, tmp_path):
    path = begin(
        "data.batch_size: 3\nseparator.network.num_blocks: 5\ndata.test: {}\n", base="../humming.yaml"
    )
    mine, other = read_recipe(path), read_recipe(tmp_path / "humming.yaml")
    assert mine.name == "mine"
    assert mine.data.batch_size == 3
    assert mine.separator["init_args"]["network"]["init_args"]["num_blocks"] == 5
    assert mine.data.test == {}
    assert mine.data.train == other.data.train
    assert mine.optimizer == other.optimizer
    assert read_recipe(path, [("data.batch_size", "4")]).data.batch_size == 4


def test_recipes_may_be_in_a_row_and_begin_from_shipped_ones(begin):
    begin("seed: 5\ntrainer: {max_epochs: 1}\n", base="tiny-sudormrf", name="first.yaml")
    recipe = read_recipe(begin("seed: 6\n", base="first.yaml"))
    assert (recipe.seed, recipe.trainer) == (6, {"max_epochs": 1})
    assert recipe.separator == read_recipe("tiny-sudormrf").separator


@pytest.mark.parametrize(
    ("text", "base", "message"),
    [
        ("", "tiny-sudormr", "did you mean 'tiny-sudormrf'"),
        ("", "[a, b]", "recipe must be the name or the file of one"),
        ("", "mine.yaml", "begins from this one"),
        ("data.batch_sze: 3\n", "tiny-sudormrf", "unknown key 'batch_sze'; did you mean 'batch_size'"),
        (
            "separator.network.num_block: 3\n",
            "tiny-sudormrf",
            "has no 'num_block'; did you mean 'num_blocks'",
        ),
        ("stages: [tests]\n", "tiny-sudormrf", "stages"),
    ],
)
def test_what_is_wrong_is_told(begin, text, base, message):
    with pytest.raises(ConfigError, match=message) as told:
        read_recipe(begin(text, base=base))
    assert "\n" not in str(told.value)


def test_of_a_class_that_gives_way_to_another_those_arguments_stay_that_both_have(write_recipe):
    to_sgd = [("optimizer.class_path", "torch.optim.SGD")]
    assert read_recipe(write_recipe(), to_sgd).optimizer["init_args"] == {"lr": 0.01}
    betas = {"optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.01, "betas": [0.9, 0.99]}}}
    assert read_recipe(write_recipe(**betas), to_sgd).optimizer["init_args"] == {"lr": 0.01}
    with pytest.raises(ConfigError, match="SGD has no 'betas'"):
        read_recipe(write_recipe(), [*to_sgd, ("optimizer.betas", "[0.9, 0.99]")])
    with pytest.raises(ConfigError, match="SGD has no 'betas'"):
        read_recipe(write_recipe(), [("optimizer.betas", "[0.9, 0.99]"), *to_sgd])


def test_mixers_are_mono_where_the_separator_is_without_being_told(begin):
    band = "{class_path: soloist.datasets.SyntheticBand, init_args: {songs: 1, seconds: 1.0}}"
    mixer = f"{{class_path: soloist.mixing.StemMixer, init_args: {{corpus: {band}, split: train}}}}"
    recipe = read_recipe(
        begin(f"separator.sources: [vocals, drums]\ndata: {{train: {mixer}}}\n", "tiny-sudormrf")
    )
    assert "channels" not in recipe.separator["init_args"]
    drawn = recipe.resolve(recipe.data.train)["init_args"]
    assert (drawn["sources"], drawn["sample_rate"], drawn["channels"]) == (["vocals", "drums"], 8000, 1)
