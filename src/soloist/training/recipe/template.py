"""Templates of recipes: the shipped ones, with their comments."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from soloist.config import nearest
from soloist.errors import UsageError
from soloist.files import write_whole
from soloist.training.recipe.recipe import RECIPES, find_recipe
from soloist.zoo.published_files import check_name

FAMILIES = (
    "sudormrf",
    "sudormrf-original",
    "sudormrf-groupcomm",
    "sudormrf-causal",
    "sudormrf-attentive",
    "tfc-tdf",
    "tfc",
    "tdc",
    "tdf",
    "tdc-rnn",
    "umx",
    "spectrogram-net",
    "spectrogram-net-lstm",
    "spectrogram-net-vae",
)
"""Networks with a recipe `tiny-<family>` that needs no corpus."""

_SEPARATOR, _DATA = "separator:\n", "\ndata:\n"


def recipe_of_family(family: str) -> str:
    """Name of the shipped recipe of a family.

    Raises:
        UsageError: There is no such family.
    """
    if family not in FAMILIES:
        raise UsageError(f"there is no family {family!r}; {nearest(family, FAMILIES)}")
    return f"tiny-{family}"


def describe_recipes() -> dict[str, str]:
    """First sentence of each shipped recipe, by name."""
    return {path.stem: _first_sentence(path) for path in sorted(RECIPES.glob("*.yaml"))}


def fill_template(source: str, name: str, file: Path, root: str | None = None) -> str:
    """Write out a shipped recipe under another name.

    Args:
        source: Name of the shipped recipe.
        name: Name of the new training.
        file: Path of the new recipe, for the commands in the comments.
        root: Folder of the corpora; None to give the folder later, or for recipes without corpora.

    Raises:
        UsageError: The name is not valid.
        ConfigError: There is no such recipe.
    """
    text = (
        find_recipe(source)
        .read_text(encoding="utf-8")
        .replace(f"soloist train {source}", f"soloist train {file}")
    )
    text = text.replace(_SEPARATOR, f"name: {check_name(name)}\n{_SEPARATOR}", 1)
    if root is None:
        return text
    return text.replace(_DATA, f"{_DATA}  root: {_scalar(root)}\n", 1)


def write_template(source: str, file: Path, *, root: str | None = None, overwrite: bool = False) -> None:
    """Write a shipped recipe to `file`, named like the file.

    Raises:
        UsageError: The file exists, or its name is no name for a training.
        ConfigError: There is no such recipe.
    """
    text = fill_template(source, file.stem, file, root)
    if os.path.lexists(file) and not overwrite:
        raise UsageError(f"there is a file {file} already: --overwrite replaces it")
    write_whole(file, text)


def _first_sentence(path: Path) -> str:
    """Join the lines of a recipe's comment up to the first empty one."""
    lines = path.read_text(encoding="utf-8").splitlines()
    paragraph = lines[: next(index for index, line in enumerate(lines) if line.strip() == "#")]
    return " ".join(line.removeprefix("#").strip() for line in paragraph)


def _scalar(text: str) -> str:
    return yaml.safe_dump(text, allow_unicode=True, width=10**6).removesuffix("...\n").strip()
