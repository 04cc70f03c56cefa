"""`soloist models`: what models there are, and which of them are here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from soloist.zoo import Card

app = typer.Typer(help="List, show, download, import and remove models.", add_completion=False)

_Name = Annotated[str, typer.Argument(help="Name of a model.", show_default=False)]
# Headings, and the fewest columns of text in which words are not broken.
_COLUMNS = {
    "name": 0,
    "system": 10,
    "sources": 13,
    "rate": 0,
    "parameters": 0,
    "licence": 7,
    "quality": 9,
    "on disk": 0,
}

# A pipe has no width: one line for each model.
_PIPE_WIDTH = 240

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback(invoke_without_command=True)
def list_models(context: typer.Context, as_json: _Json = False) -> None:
    """List the models that are known: what they do, at what price, and whether they are on disk."""
    if context.invoked_subcommand is not None:
        if as_json:
            raise typer.BadParameter(f"it belongs after {context.invoked_subcommand}", param_hint="--json")
        return
    from rich.console import Console

    from soloist.zoo import models

    cards = models()
    if as_json:
        _print_json([_as_json(card) for card in cards])
        return
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(_table(cards))


@app.command("show")
def show(name: _Name, as_json: _Json = False) -> None:
    """Show everything that is known about a model."""
    import yaml

    from soloist.zoo import find

    card = find(name)
    if as_json:
        _print_json(_as_json(card))
        return
    stated = {**card.to_dict(), "on_disk": card.on_disk}
    typer.echo(yaml.safe_dump(stated, sort_keys=False, allow_unicode=True, width=100).rstrip())


@app.command("download")
def download(name: _Name) -> None:
    """Download a model's published checkpoint and make it a Soloist model."""
    typer.echo(fetch(name))


def fetch(name: str, *, quiet: bool = False) -> Path:
    """Download a model under a progress bar, unless it is on disk; return its folder."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    from soloist.zoo import download as download_model

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    hidden = quiet or not console.is_terminal
    # Nothing of the bar stays: neither in a log, nor above the line that says what went wrong.
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(name, total=None)
        return download_model(
            name,
            progress=lambda received, total: bar.update(task, completed=received, total=total),
            notice=lambda line: bar.console.print(line, highlight=False, soft_wrap=True),
        )


@app.command("import")
def import_model(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="A published checkpoint file, all of them where each source has one, or a model folder.",
            metavar="FILE...",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The model folder to write, instead of one in the models folder."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
    half: Annotated[bool, typer.Option("--half", help="Of a model folder: in half precision.")] = False,
) -> None:
    """Make a Soloist model of a published checkpoint file, or keep one that a training left."""
    from soloist.errors import UsageError
    from soloist.zoo import copy_model, import_checkpoint
    from soloist.zoo.cards import check_name, models_folder

    folders = [file for file in files if file.is_dir()]
    if not folders:
        if half:
            raise UsageError("--half is for model folders; published weights are kept as they are")
        typer.echo(import_checkpoint(files, output, name, overwrite=overwrite))
        return
    if len(files) > 1:
        raise UsageError(f"{folders[0]} is a folder: give one model folder, or checkpoint files")
    if output is None:
        check_name(name := name or folders[0].resolve().name)
        output = models_folder() / name
    typer.echo(copy_model(folders[0], output, name, overwrite=overwrite, half=half))


@app.command("path")
def path(name: _Name) -> None:
    """Print the folder of a model that is on disk."""
    from soloist.errors import ModelError
    from soloist.zoo import find, resolve_path

    folder = resolve_path(name)
    if folder is None:
        way_out = "it has no weights" if find(name).on_disk else f"soloist models download {name}"
        raise ModelError(f"{name} has no folder on disk: {way_out}")
    typer.echo(folder)


@app.command("remove")
def remove(name: _Name) -> None:
    """Delete a model's folder."""
    from soloist.zoo import remove as remove_model

    typer.echo(f"removed {remove_model(name)}")


def _table(cards: list[Card]) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", row_styles=["", "dim"], pad_edge=False)
    for heading, narrowest in _COLUMNS.items():
        number = heading in ("rate", "parameters")
        table.add_column(
            heading,
            min_width=narrowest,
            no_wrap=number or heading == "name",
            overflow="fold",
            justify="right" if number else "left",
        )
    for card in cards:
        table.add_row(
            card.name,
            card.system,
            ", ".join(card.sources),
            f"{card.sample_rate / 1000:g} kHz" if card.sample_rate else "any",
            _millions(card.parameters),
            card.licence.weights or card.licence.code or "not stated",
            _first_figure(card),
            "yes" if card.on_disk else "no",
        )
    return table


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:.2f} M" if parameters else "none"


def _first_figure(card: Card) -> str:
    """The first figure of a card, which is the one that its writer thought most telling."""
    if not card.quality:
        return "not measured"
    first = card.quality[0]
    return f"{first.value:g} {first.metric}, {first.dataset}"


def _as_json(card: Card) -> dict[str, object]:
    """All attributes of a card, whether they say something or not, and where the model is."""
    from dataclasses import asdict

    folder = str(card.folder) if card.on_disk and card.config is None else None
    return {**asdict(card), "on_disk": card.on_disk, "folder": folder}


def _print_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
