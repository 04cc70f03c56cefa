"""`soloist models`: the models that Soloist knows, and those on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soloist.cli.console import PrintedTable, loading, print_json, print_table, progress_bar, say, wrapped
from soloist.cli.help_pages import Command, Commands
from soloist.cli.names import check_known
from soloist.cli.options import JsonOption, keep_inputs

if TYPE_CHECKING:
    from soloist.zoo import Card, DefaultModel

app = typer.Typer(cls=Commands, help="List, show, download, import and remove models.", add_completion=False)

_Name = Annotated[str, typer.Argument(help="Name of a model.", show_default=False)]
_HEADINGS = ("name", "system", "sources", "rate", "parameters", "licence", "quality", "on disk")
_SOURCES_WIDTH = 28
"""Columns of the sources below a model's name."""

_COMPACT = ("name, sources", "size", "licence", "quality", "on disk")
_NUMBERS = ("rate", "parameters", "size")


@app.callback(invoke_without_command=True)
def list_models(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the known models: sources, rate, size, licence, quality, on disk or not."""
    if context.invoked_subcommand is not None:
        if as_json:
            raise typer.BadParameter(f"it belongs after {context.invoked_subcommand}", param_hint="--json")
        return
    from soloist.zoo import models

    cards = models()
    if as_json:
        print_json([_as_json(card) for card in cards])
    else:
        print_table(_rows(cards), _compact_rows(cards))


@app.command("show", cls=Command)
def show(name: _Name, as_json: JsonOption = False) -> None:
    """Show the card of a model: all that is known about it."""
    import yaml

    from soloist.zoo import find

    check_known(name)
    card = find(name)
    if as_json:
        print_json(_as_json(card))
        return
    stated = {**card.to_dict(), "on_disk": card.on_disk}
    typer.echo(yaml.safe_dump(stated, sort_keys=False, allow_unicode=True, width=100).rstrip())


@app.command("download", cls=Command)
def download(
    name: _Name,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the published files in the downloads folder.")
    ] = False,
) -> None:
    """Download a model's published checkpoint and make it a Soloist model."""
    check_known(name)
    typer.echo(fetch(name, keep=keep))


def fetch(name: str, *, quiet: bool = False, keep: bool = False) -> Path:
    """Download a model under a progress bar, unless it is on disk; return the folder."""
    with loading(quiet=quiet):
        from soloist.zoo import download as download_model
    with _download_bar(name, quiet=quiet) as advance:
        return download_model(name, advance, say, keep=keep)


def fetch_default(*, quiet: bool = False, fetch: bool = True) -> DefaultModel:
    """Choose the model of songs for which none was named, and download it under a progress bar if need be."""
    with loading(quiet=quiet):
        from soloist.zoo import choose_default
    with _download_bar("model", quiet=quiet) as advance:
        return choose_default(advance, None if quiet else say, fetch=fetch)


@contextmanager
def _download_bar(name: str, *, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a callback that shows the received bytes."""
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with progress_bar(*columns, quiet=quiet) as bar:
        task = bar.add_task(name, total=None)
        yield lambda received, total: bar.update(task, completed=received, total=total)


@app.command("import", cls=Command)
def import_model(
    files: Annotated[
        list[Path],
        typer.Argument(
            help=(
                "A published checkpoint file, all of them where each source has one, the folder of a "
                "TensorFlow checkpoint, or a model folder."
            ),
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
    half: Annotated[
        bool, typer.Option("--half", help="Store the weights of a model folder in half precision.")
    ] = False,
) -> None:
    """Make a Soloist model of a published checkpoint, or keep the model of a training."""
    from soloist.errors import UsageError

    with loading():
        from soloist.zoo import copy_model, import_checkpoint
        from soloist.zoo.cards import models_folder
        from soloist.zoo.published_files import check_name
        from soloist.zoo.tensorflow_bundle import bundle_files

    folders = [file for file in files if file.is_dir() and not bundle_files(file)]
    if not folders:
        if half:
            raise UsageError("--half is for model folders; published weights are kept as they are")
        if output is not None:
            keep_inputs("a file of the model", output.glob("*"), files)
        typer.echo(import_checkpoint(files, output, name, overwrite=overwrite))
        return
    if len(files) > 1:
        raise UsageError(f"{folders[0]} is a folder: give one model folder, or checkpoint files")
    if output is None:
        check_name(name := name or folders[0].resolve().name)
        output = models_folder() / name
    keep_inputs("a file of the model", output.glob("*"), folders[0].glob("*"))
    typer.echo(copy_model(folders[0], output, name, overwrite=overwrite, half=half))


@app.command("path", cls=Command)
def path(name: _Name) -> None:
    """Print the folder of a model that is on disk."""
    from soloist.errors import ModelError

    check_known(name)
    with loading():
        from soloist.zoo import find, resolve_path
    folder = resolve_path(name)
    if folder is None:
        way_out = "it has no weights" if find(name).on_disk else f"soloist models download {name}"
        raise ModelError(f"{name} has no folder on disk: {way_out}")
    typer.echo(folder)


@app.command("remove", cls=Command)
def remove(name: _Name) -> None:
    """Delete a model's folder."""
    check_known(name)
    with loading():
        from soloist.zoo import remove as remove_model
    typer.echo(f"removed {remove_model(name)}")


def _rows(cards: Sequence[Card]) -> PrintedTable:
    rows = [
        (
            card.name,
            card.system,
            ", ".join(card.sources),
            f"{card.sample_rate / 1000:g} kHz" if card.sample_rate else "any",
            _millions(card.parameters),
            card.licence.stated,
            _first_figure(card),
            _on_disk(card),
        )
        for card in cards
    ]
    return PrintedTable(_HEADINGS, rows, _NUMBERS)


def _compact_rows(cards: Sequence[Card]) -> PrintedTable:
    """Rows for a terminal of 80 columns: the sources stand below the name."""
    rows = [
        (
            "\n".join([card.name, *wrapped(", ".join(card.sources), _SOURCES_WIDTH, "  ", "  ")]),
            _millions(card.parameters),
            card.licence.stated,
            _first_figure(card).replace(" (dB)", "").partition(" (docs")[0],
            _on_disk(card),
        )
        for card in cards
    ]
    return PrintedTable(_COMPACT, rows, _NUMBERS)


def _on_disk(card: Card) -> str:
    return "yes" if card.on_disk else "no"


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:.2f} M" if parameters else "none"


def _first_figure(card: Card) -> str:
    """The first figure of a card, by which its authors rate the model."""
    if not card.quality:
        return "not measured"
    first = card.quality[0]
    return f"{first.value:g} {first.metric}, {first.dataset}"


def _as_json(card: Card) -> dict[str, object]:
    """All attributes of a card, also empty ones, and the model's folder."""
    from dataclasses import asdict

    folder = str(card.folder) if card.on_disk and card.config is None else None
    values = {**asdict(card), "on_disk": card.on_disk, "folder": folder}
    values["licence"]["stated"] = card.licence.stated
    return values
