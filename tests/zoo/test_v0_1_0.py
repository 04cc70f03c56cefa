"""Files of version 0.1.0 mean what they meant; `fixtures/v0_1_0/README.md` says which files these are."""

from __future__ import annotations

import inspect
from itertools import permutations
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import soloist
from soloist.config import find_class
from soloist.training import read_recipe

FIXTURES = Path(__file__).parents[1] / "fixtures" / "v0_1_0"
MODELS = sorted(path.name for path in (FIXTURES / "models").iterdir())
RECIPES = sorted(
    path.relative_to(FIXTURES).as_posix()
    for pattern in ("recipes/*.yaml", "runs/*/recipe.yaml")
    for path in FIXTURES.glob(pattern)
)
CLASS_PATHS = (FIXTURES / "class_paths.txt").read_text(encoding="utf-8").split()

TOLERANCE = 2e-6
"""Largest difference of a sample, relative to the peak of all estimates.

Other numbers of threads and other instruction sets make differences of up to 8e-7.
"""

IN_ANY_ORDER = {
    "imported-nussl-deep-clustering",
    "spatial-clustering",
    "timbre-clustering",
    "tiny-deep-clustering",
}
"""Models whose sources are clusters of several attempts: rounding decides which of two orders they have."""

RENAMED: dict[str, str] = {}
"""Names of classes that are called otherwise now, by the class paths of version 0.1.0."""


def class_paths_in(value):
    """All class paths of Soloist in the content of a YAML file."""
    if isinstance(value, list):
        return set().union(*map(class_paths_in, value))
    if not isinstance(value, dict):
        return set()
    named = {
        each for key, each in value.items() if key.endswith("class_path") and each.startswith("soloist.")
    }
    return named.union(*map(class_paths_in, value.values()))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_the_estimates_that_it_gave(name):
    stored = load_file(FIXTURES / "models" / name / "expected.safetensors")
    expected = stored["estimates"]
    separator = soloist.load(FIXTURES / "models" / name)
    with torch.no_grad():
        estimates = separator(stored["mixture"])
    assert estimates.shape == expected.shape
    order = range(expected.shape[1])
    orders = permutations(order) if name in IN_ANY_ORDER else [order]
    difference = min((estimates[:, list(each)] - expected).abs().max() for each in orders)
    assert difference <= TOLERANCE * expected.abs().max()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_read_and_its_separator_built(name):
    recipe = read_recipe(FIXTURES / name)
    with torch.device("meta"):
        separator = recipe.build_separator()
    assert separator.sources == tuple(recipe.separator["init_args"]["sources"])
    assert separator.sample_rate == recipe.separator["init_args"]["sample_rate"]


@pytest.mark.parametrize("name", RECIPES)
def test_the_parts_of_a_recipe_inherit_what_they_did(name):
    recipe = read_recipe(FIXTURES / name, [("data.root", "/corpora"), ("seed", "5")])
    stated = recipe.separator["init_args"]
    for part in (recipe.data.train, recipe.data.mixer(recipe.data.valid)):
        mixer = recipe.resolve(part)["init_args"]
        assert mixer["seed"] == part["init_args"].get("seed", 5)
        assert mixer["sources"] == part["init_args"].get("sources", stated["sources"])
        assert mixer["sample_rate"] == part["init_args"].get("sample_rate", stated["sample_rate"])
        corpus = mixer["corpus"]["init_args"]
        assert corpus.get("root", "/corpora").startswith("/corpora")
    assert recipe.resolve(recipe.loss).keys() >= {"class_path", "init_args"}


@pytest.mark.parametrize("class_path", CLASS_PATHS)
def test_a_class_path_leads_to_its_class(class_path):
    found = find_class(class_path, "fixture")
    assert inspect.isclass(found)
    assert found.__name__ == RENAMED.get(class_path, class_path.rpartition(".")[2])


def test_all_class_paths_of_models_and_recipes_are_listed():
    files = [*FIXTURES.glob("models/*/config.yaml"), *(FIXTURES / name for name in RECIPES)]
    for path in files:
        assert class_paths_in(yaml.safe_load(path.read_text(encoding="utf-8"))) <= set(CLASS_PATHS)
