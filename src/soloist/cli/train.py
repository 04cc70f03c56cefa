"""`soloist train`: a model from a recipe and a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soloist.errors import UsageError


def train(
    context: typer.Context,
    recipe: Annotated[
        str, typer.Argument(help="A recipe's file, or the name of a shipped one.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run; default: runs/<recipe>.")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the resolved recipe and stop.")
    ] = False,
) -> None:
    """Train a model as a recipe says; any key of the recipe can be given: `--data.root PATH`."""
    from soloist.training.recipe import read_recipe

    resolved = read_recipe(recipe, parse_overrides(context.args))
    if print_config:
        typer.echo(resolved.to_yaml(), nl=False)
        return
    from soloist.training.run import train as run

    run(resolved, output or Path("runs") / resolved.name)


def parse_overrides(arguments: list[str]) -> list[tuple[str, str]]:
    """Dotted keys and their values from `--key value` and `--key=value`.

    Raises:
        UsageError: Something else is among the arguments.
    """
    overrides = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--"):
            raise UsageError(
                f"unexpected argument {argument!r}: values of the recipe are given as --key value"
            )
        key, equals, value = argument[2:].partition("=")
        if not equals and (value := next(rest, None)) is None:
            raise UsageError(f"{argument} needs a value")
        overrides.append((key, value))
    return overrides
