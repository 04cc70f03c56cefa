"""What the pages name is there: classes, recipes, commands and their options."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
import typer.main

from soloist.cli.app import app
from soloist.config import find_class
from soloist.training import RECIPES, DataConfig, Recipe, WatchConfig

PAGES = ["from-other-tools.md"]


@pytest.fixture(params=PAGES)
def spans(request, repository):
    """The pieces of a page that are our code: all, but those of the first columns of tables."""
    lines = (repository / "docs" / request.param).read_text(encoding="utf-8").splitlines()
    ours = "\n".join(re.sub(r"^\|[^|]*\|", "", line) for line in lines)
    return re.findall(r"`([^`\n]+)`", ours)


def test_classes_are_there(spans):
    paths = [path for span in spans for path in re.findall(r"soloist\.[\w.]+\.[A-Z]\w+", span)]
    assert paths
    for path in paths:
        find_class(path, "the page")


def test_recipes_are_there(spans):
    shipped = {path.stem for path in RECIPES.glob("*.yaml")}
    families = "sudormrf|tiny|tfc|tdc|tdf|umx|xumx|spectrogram"
    named = {name for span in spans for name in re.findall(rf"(?<![\w/.-])(?:{families})-[\w-]*\w", span)}
    assert named
    assert named - shipped <= {"spectrogram-net", "tfc-tdf"}  # Families, of which there are recipes.


def test_keys_of_recipes_are_there(spans):
    known = {field.name for field in fields(Recipe)}
    inside = {"data": DataConfig, "watch": WatchConfig}
    keys = [key for span in spans for key in re.findall(r"^[a-z_]+(?:\.[a-z_]+)+", span)]
    keys = [key for key in keys if not key.startswith("soloist.") and not key.endswith((".csv", ".json"))]
    assert len(keys) > 50
    for key in keys:
        section, name, *_ = key.split(".")
        assert section in known, key
        assert section not in inside or name in {field.name for field in fields(inside[section])}, key


def test_commands_and_their_options_are_there(spans):
    program = typer.main.get_command(app)
    everywhere = {option for parameter in program.params for option in parameter.opts}
    called = [span.split() for span in spans if span.startswith("soloist ")]
    assert called
    for _, name, *rest in called:
        command = program.commands[name]
        if rest and hasattr(command, "commands"):
            command = command.commands[rest[0]]
        options = everywhere | {option for parameter in command.params for option in parameter.opts}
        takes_recipe_keys = command.context_settings.get("ignore_unknown_options", False)
        for word in rest:
            if word.startswith("-") and not (takes_recipe_keys and "." in word):
                assert word in options, f"soloist {name} has no {word}"
