"""`soloist init`: a recipe to change and to train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soloist.cli.console import PrintedTable, loading, print_names, print_table
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
        typer.Option(help="Folder of the corpus, if the recipe reads one.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a recipe that is there.")] = False,
    list_them: Annotated[bool, typer.Option("--list", help="List families and recipes, and stop.")] = False,
) -> None:
    """Write a commented recipe to change and to train.

    The recipe is a copy of the family's small recipe, which needs no corpus, or of any shipped recipe.

    `soloist init my_model --family tfc-tdf`

    `soloist init my_model --recipe sudormrf-wham --root corpora/wham`
    """
    if list_them:
        _list()
        return
    if name is None:
        raise UsageError("name the training: soloist init NAME --family FAMILY")
    if (family is None) == (recipe is None):
        raise UsageError("give one of --family and --recipe; --list names them")
    with loading():
        from soloist.training import write_template
        from soloist.training.recipe.template import recipe_of_family
    source = recipe if recipe is not None else recipe_of_family(family or "")
    file = name if name.suffix in (".yaml", ".yml") else name.with_name(f"{name.name}.yaml")
    keep_inputs("the recipe", [file], [source], way_out="choose another name")
    write_template(
        source, file, root=None if root is None else str(expand_home(root).resolve()), overwrite=overwrite
    )
    print_names(file)


def _list() -> None:
    with loading():
        from soloist.training import FAMILIES
        from soloist.training.recipe.template import describe_recipes, recipe_of_family
    described = describe_recipes()
    families = [[family, described[recipe_of_family(family)]] for family in FAMILIES]
    print_table(PrintedTable(["family", "network"], families))
    typer.echo()
    print_table(PrintedTable(["recipe", "training"], list(described.items())))
