"""`soloist models`: the models that Soloist knows, and those on disk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soloist.cli.console import (
    PrintedTable,
    loading,
    print_json,
    print_names,
    print_table,
    progress_bar,
    say,
    wrapped,
)
from soloist.cli.help_pages import Command, Commands
from soloist.cli.names import check_known, check_model, complete_model
from soloist.cli.options import JsonOption, keep_inputs
from soloist.urls import is_url

if TYPE_CHECKING:
    from soloist.zoo import Card, DefaultModel

app = typer.Typer(
    cls=Commands, help="List, show, download, import, push and remove models.", add_completion=False
)

_Name = Annotated[
    str, typer.Argument(help="Name of a model.", autocompletion=complete_model, show_default=False)
]
_HEADINGS = (
    *("name", "task", "system", "sources", "rate", "parameters", "size", "speed", "licence", "quality"),
    "on disk",
)
_COMPACT = ("name, sources", "size, speed", "licence", "quality", "on disk")
_NUMBERS = ("rate", "parameters", "size", "speed", "size, speed")

_NAME_WIDTH = 26
"""Columns of text for names and sources in a terminal of 80."""

_UNIT = "spleeter-2stems"
"""Model whose work for a second of audio is the unit of costs."""

_RECOMMENDED = {
    "the best stems": "htdemucs_ft",
    "good stems": "htdemucs",
    "guitar and piano too": "htdemucs_6s",
    "stems, fast": "spleeter-4stems",
    "two talkers": "sudormrf-u36-whamr",
    "speech from noise": "dtln",
}
"""Models for what users want, in the words of the latter."""


@app.callback(invoke_without_command=True)
def list_models(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the known models by task: sources, rate, size, speed, licence, quality, on disk or not.

    Speed is in times real time if `soloist tune` measured it here; else the cost of a second of audio, in
    that of `spleeter-2stems`. Sizes are those of the download.
    """
    if context.invoked_subcommand is not None:
        if as_json:
            raise typer.BadParameter(f"it belongs after {context.invoked_subcommand}", param_hint="--json")
        return
    from soloist.zoo import models

    cards = sorted(models(), key=_place)
    if as_json:
        print_json([_as_json(card) for card in cards])
    else:
        print_table(_rows(cards), _compact_rows(cards))


@app.command("recommend", cls=Command)
def recommend() -> None:
    """Say in six lines which model is for what, at which price."""
    from soloist.zoo import find

    cards = {purpose: find(name) for purpose, name in _RECOMMENDED.items()}
    speeds = _speeds(list(cards.values()))
    rows = [
        (purpose, card.name, _size(card), speeds[card.name], card.licence.stated.partition(" (")[0])
        for purpose, card in cards.items()
    ]
    print_table(PrintedTable(("for", "model", "download", "speed", "licence"), rows, ("download", "speed")))


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
    accept_licence: Annotated[
        bool,
        typer.Option("--accept-licence", help="Accept a licence that forbids commercial use."),
    ] = False,
) -> None:
    """Download a model's published checkpoint and make it a Soloist model.

    Size and licence are said before.
    """
    check_known(name)
    typer.echo(fetch(name, keep=keep, accept_licence=accept_licence))


def fetch(name: str, *, quiet: bool = False, keep: bool = False, accept_licence: bool = False) -> Path:
    """Say size and licence of a model and download it, unless it is on disk; return the folder."""
    with loading(quiet=quiet):
        from soloist.zoo import download as download_model
        from soloist.zoo import find
        from soloist.zoo.published_files import is_offline
    card = find(name)
    refused = is_offline() or (card.licence.forbids_commercial_use and not accept_licence)
    if card.files and not (card.on_disk or refused):
        say(card.about)
    with _download_bar(name, quiet=quiet) as advance:
        return download_model(name, advance, say, keep=keep, accept_licence=accept_licence)


def fetch_default(
    task: str = "stems", talkers: int | None = None, *, quiet: bool = False, fetch: bool = True
) -> DefaultModel:
    """Choose a model where none was named, and download it under a progress bar if need be."""
    with loading(quiet=quiet):
        from soloist.zoo import choose_for_task
    with _download_bar("model", quiet=quiet) as advance:
        return choose_for_task(task, talkers, advance, None if quiet else say, fetch=fetch)


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
        list[str],
        typer.Argument(
            help=(
                "A published checkpoint file or its address (https://...), all of them where each source has "
                "one, the folder of a TensorFlow or SpeechBrain checkpoint, or a model folder."
            ),
            metavar="FILE_OR_URL...",
            show_default=False,
        ),
    ],
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            "-c",
            help="File or address of the YAML of the network's settings, if it is not beside the checkpoint.",
            metavar="FILE_OR_URL",
        ),
    ] = None,
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
    """Make a Soloist model of a published checkpoint, or keep the model of a training.

    Checkpoints and YAML files of Music-Source-Separation-Training, audio-separator and UVR (also .onnx) are
    read as they are; nothing in them is run. A YAML beside the checkpoint is found by itself.
    """
    from soloist.errors import UsageError

    with loading():
        from soloist.zoo.published_checkpoints import is_checkpoint_folder

    local = [Path(file) for file in files if not is_url(file)]
    folders = [file for file in local if file.is_dir() and not is_checkpoint_folder(file)]
    if not folders:
        if half:
            raise UsageError("--half is for model folders; published weights are kept as they are")
        if output is not None:
            keep_inputs("a file of the model", output.glob("*"), local)
        _import_files(files, output, name, config, overwrite=overwrite)
    elif len(files) > 1 or config is not None:
        raise UsageError(f"{folders[0]} is a folder: give one model folder, or checkpoint files")
    else:
        _copy_folder(folders[0], output, name, overwrite=overwrite, half=half)


def _import_files(
    files: Sequence[str], output: Path | None, name: str | None, config: str | None, *, overwrite: bool
) -> None:
    from soloist.zoo import import_links

    with _download_bar("download", quiet=not any(map(is_url, files))) as advance:
        folder = import_links(
            files, output, name, settings=config, overwrite=overwrite, progress=advance, notice=say
        )
    print_names(folder)


def _copy_folder(folder: Path, output: Path | None, name: str | None, *, overwrite: bool, half: bool) -> None:
    from soloist.zoo import copy_model
    from soloist.zoo.cards import models_folder
    from soloist.zoo.published_files import check_name

    if output is None:
        check_name(name := name or folder.resolve().name)
        output = models_folder() / name
    keep_inputs("a file of the model", output.glob("*"), folder.glob("*"))
    print_names(copy_model(folder, output, name, overwrite=overwrite, half=half))


@app.command("push", cls=Command)
def push(
    model: Annotated[str, typer.Argument(help="Name of a model, or its folder.", show_default=False)],
    repository: Annotated[str, typer.Argument(metavar="USER/MODEL", show_default=False)],
    private: Annotated[bool, typer.Option("--private", help="Let nobody else see a new repository.")] = False,
) -> None:
    """Put a model folder on Hugging Face, with a README made of its card.

    Log in before: `hf auth login`. Everybody then takes it as `-m hf://USER/MODEL`.
    """
    check_model(model)
    with loading():
        from soloist.zoo import find
        from soloist.zoo.hub import push_folder
        from soloist.zoo.model_paths import as_folder
    folder = as_folder(model) or find(model).folder
    typer.echo(push_folder(folder, repository, private=private))


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
    print_names(folder)


@app.command("remove", cls=Command)
def remove(name: _Name) -> None:
    """Delete a model's folder."""
    check_known(name)
    with loading():
        from soloist.zoo import remove as remove_model
    typer.echo(f"removed {remove_model(name)}")


def _place(card: Card) -> tuple[int, bool]:
    """Place of a card in the list: tasks in their order, the models of a user's own last in each."""
    from soloist.zoo.cards import TASKS, is_shipped

    tasks = list(TASKS)
    return tasks.index(card.task) if card.task in tasks else len(tasks), not is_shipped(card.name)


def _rows(cards: Sequence[Card]) -> PrintedTable:
    speeds = _speeds(cards)
    rows = [
        (
            card.name,
            card.task,
            card.system,
            _sources(card),
            f"{card.sample_rate / 1000:g} kHz" if card.sample_rate else "any",
            f"{card.parameters / 1e6:.2f} M" if card.parameters else _without_number(card),
            _size(card),
            speeds[card.name],
            card.licence.stated,
            _first_figure(card),
            _on_disk(card),
        )
        for card in cards
    ]
    return PrintedTable(_HEADINGS, rows, _NUMBERS)


def _compact_rows(cards: Sequence[Card]) -> PrintedTable:
    """Rows for a terminal of 80 columns: the sources stand below the name, tasks between the models."""
    from soloist.zoo.cards import TASKS

    speeds, rows = _speeds(cards), list[tuple[str, ...]]()
    for before, card in zip([None, *cards], cards, strict=False):
        if before is None or before.task != card.task:
            rows.append((f"[{TASKS.get(card.task, 'other models')}]", *[""] * (len(_COMPACT) - 1)))
        about = f"{_size(card)}\n{speeds[card.name].replace(' real time', '')}"
        figure = re.sub(r" \([^)]*\)| of whole songs", "", _first_figure(card))
        sources = wrapped(_sources(card), _NAME_WIDTH, "  ", "  ")
        rows.append(("\n".join([card.name, *sources]), about, card.licence.stated, figure, _on_disk(card)))
    return PrintedTable(_COMPACT, rows, _NUMBERS)


def _speeds(cards: Sequence[Card]) -> dict[str, str]:
    """Speed of each model: measured here, else its cost in that of a fast one."""
    from soloist.zoo import find
    from soloist.zoo.speeds import load_speeds

    measured, unit = load_speeds(), find(_UNIT).operations or 1.0
    costs = {card.name: _cost(card.operations / unit) for card in cards if card.operations}
    real = {name: f"{speed:.3g} x real time" for name, speed in measured.items()}
    return {card.name: real.get(card.name) or costs.get(card.name, "-") for card in cards}


def _cost(ratio: float) -> str:
    return f"cost {ratio:.1f}" if ratio < 100 else f"cost {ratio:.0f}"


def _size(card: Card) -> str:
    from soloist.zoo.cards import megabytes

    return megabytes(card.size) if card.size else _without_number(card)


def _without_number(card: Card) -> str:
    """Text for a size or a number of parameters that a card does not state."""
    return "unknown" if card.files else "none"


def _sources(card: Card) -> str:
    return ", ".join(card.sources) or "as its YAML says"


def _on_disk(card: Card) -> str:
    return "yes" if card.on_disk else "no"


def _first_figure(card: Card) -> str:
    """The first figure of a card, by which its authors rate the model."""
    if not card.quality:
        return "not measured"
    first = card.quality[0]
    by = f", by {first.measured_by}" if first.measured_by else ""
    known = {True: ", trained on it", None: ", perhaps trained on it", False: ""}[first.trained_on_test]
    return f"{first.target} {first.value:g} {first.metric}, {first.dataset}{by}{known}"


def _as_json(card: Card) -> dict[str, object]:
    """All attributes of a card, also empty ones, and the model's folder."""
    from dataclasses import asdict

    folder = str(card.folder) if card.on_disk and card.config is None else None
    values = {**asdict(card), "on_disk": card.on_disk, "folder": folder}
    values["licence"]["stated"] = card.licence.stated
    return values
