"""`soloist init`: a recipe to change and to train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soloist.cli.console import PrintedTable, loading, print_names, print_table, say
from soloist.cli.options import keep_inputs
from soloist.errors import UsageError
from soloist.files import expand_home


def init(
    name: Annotated[
        Path | None,
        typer.Argument(help="Name of the training; its recipe is NAME.yaml.", show_default=False),
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="The network; --list names them.", show_default=False)
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Begin from this shipped recipe.", show_default=False),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder of recordings of your own to train on; with --recipe, the folder of its corpus.",
            show_default=False,
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="Layout of your folder, if it may be several: stems, clips, pairs, musdb18-hq, ...",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a recipe that is there.")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="List families and recipes, and stop.")] = False,
) -> None:
    """Write a commented recipe to change and to train.

    The recipe is a copy of the family's small recipe, which needs no corpus, or of any shipped recipe.

    With --root it is made for a folder of your own: stems of songs (song/vocals.wav), single sounds
    (talker/1.wav) or aligned pairs (noisy/1.wav, clean/1.wav).

    `soloist init my_model --root songs`

    `soloist init my_model --family tfc-tdf`

    `soloist init my_model --recipe sudormrf-wham --root corpora/wham`
    """
    if list_them:
        _list()
        return
    if name is None:
        raise UsageError("name the training: soloist init NAME --family FAMILY")
    own = root is not None and recipe is None
    if layout is not None and not own:
        raise UsageError("--layout is that of a folder of your own: give --root as well, and no --recipe")
    if not own and (family is None) == (recipe is None):
        raise UsageError("give one of --family and --recipe, or --root with a folder; --list names them")
    with loading():
        from soloist.training import describe_survey, write_own_recipe, write_template
        from soloist.training.recipe.template import recipe_of_family
    if root is not None and recipe is None:
        file = recipe_file(name)
        keep_inputs("the recipe", [file], [root], way_out="choose another name")
        for line in describe_survey(write_own_recipe(file, root, family, layout=layout, overwrite=overwrite)):
            say(line)
        print_names(file)
        return
    source = recipe if recipe is not None else recipe_of_family(family or "")
    file = recipe_file(name)
    keep_inputs("the recipe", [file], [source], way_out="choose another name")
    write_template(
        source, file, root=None if root is None else str(expand_home(root).resolve()), overwrite=overwrite
    )
    print_names(file)


def recipe_file(name: Path) -> Path:
    """Path of the recipe of a training's name."""
    return name if name.suffix in (".yaml", ".yml") else name.with_name(f"{name.name}.yaml")


def _list() -> None:
    with loading():
        from soloist.training import FAMILIES
        from soloist.training.recipe.template import describe_recipes, recipe_of_family
    described = describe_recipes()
    families = [[family, described[recipe_of_family(family)]] for family in FAMILIES]
    print_table(PrintedTable(["family", "network"], families))
    typer.echo()
    print_table(PrintedTable(["recipe", "training"], list(described.items())))
