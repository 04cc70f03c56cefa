"""Recipes of one's own: named, valid, commented, and never over somebody's work."""

from __future__ import annotations

import pytest

from soloist.training import FAMILIES, RECIPES, read_recipe


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_recipe_that_trains_under_its_new_name(soloist, family):
    result = soloist("init", "my_model", "--family", family)
    assert (result.code, result.out) == (0, "my_model.yaml\n")
    recipe, source = read_recipe("my_model.yaml"), read_recipe(f"tiny-{family}")
    assert recipe.name == "my_model"
    assert {**recipe.to_dict(), "name": source.name} == source.to_dict()


def test_comments_are_kept_and_speak_of_the_new_file(soloist, tmp_path):
    soloist("init", "deep/mine.yaml", "--recipe", "sudormrf-wham", "--root", "corpora: all")
    text = (tmp_path / "deep/mine.yaml").read_text()
    shipped = (RECIPES / "sudormrf-wham.yaml").read_text()
    assert text.count("#") == shipped.count("#")
    assert "soloist train deep/mine.yaml --data.root PATH" in text
    recipe = read_recipe("deep/mine.yaml")
    assert (recipe.name, recipe.data.root) == ("mine", str(tmp_path / "corpora: all"))


def test_a_recipe_that_is_there_is_kept(soloist, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: precious\n")
    result = soloist("init", "mine", "--family", "tdf")
    assert result.code == 2
    assert result.err == "soloist: there is a file mine.yaml already: --overwrite replaces it\n"
    assert file.read_text() == "name: precious\n"
    assert soloist("init", "mine", "--family", "tdf", "--overwrite").code == 0
    assert read_recipe(file).name == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mine", "--family", "tfc-td"], "did you mean 'tfc-tdf'?"),
        (["mine", "--recipe", "sudormrf-wam"], "did you mean 'sudormrf-wham'?"),
        (["mine"], "give one of --family and --recipe, or --root with a folder"),
        (["mine", "--root", "nowhere"], "there is no folder"),
        (["mine", "--family", "tdf", "--layout", "stems"], "give --root as well"),
        (["mine", "--family", "tdf", "--recipe", "tiny-tdf"], "give one of --family and --recipe"),
        (["--family", "tdf"], "name the training"),
        (["mi ne", "--family", "tdf"], "'mi ne'"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(soloist, tmp_path, arguments, message):
    result = soloist("init", *arguments)
    assert result.code == 2
    assert message in result.err
    assert list(tmp_path.rglob("*")) == []


def test_everything_is_listed(soloist):
    listed = soloist("init", "--list").out
    for family in FAMILIES:
        assert f"\n{family} " in listed
    for path in RECIPES.glob("*.yaml"):
        assert f"\n{path.stem} " in listed
