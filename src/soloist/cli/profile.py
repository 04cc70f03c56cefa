"""`soloist profile`: cost of models in operations, memory and time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from soloist.cli.console import PrintedTable, loading, print_table, progress_bar, warn
from soloist.cli.models import fetch
from soloist.cli.names import check_subject, complete_subject
from soloist.cli.options import HOW, DeviceOption, keep_inputs, split_names
from soloist.errors import SoloistError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from soloist.profiling import Profile, ProfileSettings, Rating

Number = TypeVar("Number", int, float)

_WHAT, _OUTPUT = "What", "Output"


def profile(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Models by name (see: soloist models), folders of models or runs, or recipes.",
            autocompletion=complete_subject,
            show_default=False,
        ),
    ],
    duration: Annotated[
        str, typer.Option(help="Lengths of the mixtures, in s.", rich_help_panel=_WHAT)
    ] = "1,4,60",
    batch: Annotated[str, typer.Option(help="Numbers of mixtures at once.", rich_help_panel=_WHAT)] = "1,4",
    device: DeviceOption = "auto",
    engines: Annotated[
        str,
        typer.Option(help="Engines of the networks: torch, openvino, onnxruntime.", rich_help_panel=HOW),
    ] = "torch",
    threads: Annotated[
        int | None, typer.Option(help="Processor threads; default: all.", min=1, rich_help_panel=HOW)
    ] = None,
    budget: Annotated[
        float, typer.Option(help="Seconds for each time; at least three runs.", rich_help_panel=HOW)
    ] = 2.0,
    processes: Annotated[
        bool,
        typer.Option(
            "--processes",
            help="Measure the memory of a whole process as well, one for each row.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    csv: Annotated[
        Path | None, typer.Option(help="Write every figure as CSV.", rich_help_panel=_OUTPUT)
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write every figure as JSON.", rich_help_panel=_OUTPUT)
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the tables as Markdown.", rich_help_panel=_OUTPUT)
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw quality against each cost (.png, .pdf, .svg), of the smallest case.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    quality: Annotated[
        list[str] | None,
        typer.Option(
            help="A model's quality, for the tables and the picture, in place of its card's.",
            metavar="NAME=VALUE",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            help="Name of the quality, with its unit; default: that of the cards.",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the tables, and errors.")] = False,
) -> None:
    """Measure the cost of models: parameters, operations, memory, and time, forward and backward.

    A recipe is measured with fresh weights. docs/profile.md explains each figure.

    `soloist profile tiny-sudormrf-digits two-stage-hpss --duration 1,10 --batch 1`

    `soloist profile tiny-tdc tiny-tfc --quality tiny-tdc=5.1 --quality tiny-tfc=5.9 --plot pareto.png`
    """
    names = list(dict.fromkeys(models))
    if len(names) == 1:
        check_subject(names[0])
    with loading(quiet=quiet):
        from soloist.profiling import ProfileReports, ProfileSettings, Rating, ReportPaths
    settings = ProfileSettings(
        durations=_numbers("--duration", duration, float),
        batches=_numbers("--batch", batch, int),
        device=device,
        engines=tuple(dict.fromkeys(split_names(engines))),
        threads=threads,
        budget=budget,
        processes=processes,
    )
    rating = Rating(_qualities(quality or [], names), measure)
    outputs = [path for path in (csv, json, markdown, plot) if path is not None]
    keep_inputs("a report", outputs, [*names, *(file for name in names for file in Path(name).glob("*"))])
    with ProfileReports(ReportPaths(csv, json, markdown, plot)) as reports:
        profiles, failures = _measure(names, settings, quiet=quiet)
        measured = any(profile.measured for profile in profiles)
        if measured:
            _show(profiles, rating)
            reports.write(profiles, failures, settings.threads, rating)
    if measured and plot is not None:
        _draw(profiles, rating, plot)
    if failures:
        raise typer.Exit(1)


def _measure(
    names: Sequence[str], settings: ProfileSettings, *, quiet: bool
) -> tuple[list[Profile], dict[str, tuple[str, ...]]]:
    """Measure all models and warn of failures, which are the second value."""
    from soloist.profiling import profile as profile_model

    profiles: list[Profile] = []
    failures: dict[str, tuple[str, ...]] = {}
    with progress_bar(quiet=quiet) as bar:
        for name in names:
            task = bar.add_task(name, total=None)
            try:
                _fetch(name, quiet=quiet)
                advance = partial(_advance, bar, task)
                profiles.append(profile_model(name, settings, advance))
                told = profiles[-1].failures
            except (SoloistError, OSError) as error:
                told = (" ".join(str(error).split()),)
            bar.remove_task(task)
            if told:
                failures[name] = told
            for line in told:
                warn(f"{name}: {line}")
    return profiles, failures


def _advance(bar: Progress, task: TaskID, done: int, count: int) -> None:
    bar.update(task, completed=done, total=count)


def _fetch(name: str, *, quiet: bool) -> None:
    """Download a model that is known and not on disk, as `soloist separate` does."""
    from soloist.zoo.cards import find, is_known

    if is_known(name) and not find(name).on_disk:
        fetch(name, quiet=quiet)


def _show(profiles: Sequence[Profile], rating: Rating) -> None:
    from soloist.profiling.profile_tables import cost_table, fact_table

    for table in (fact_table(profiles, rating), cost_table(profiles)):
        print_table(PrintedTable(table.headings, table.rows, table.headings[table.words :]))
        typer.echo()


def _draw(profiles: Sequence[Profile], rating: Rating, path: Path) -> None:
    from soloist.profiling import draw_profiles

    for name in draw_profiles(profiles, rating, path):
        typer.echo(f"{name} is not in the picture: give its --quality {name}=VALUE", err=True)


def _numbers(option: str, text: str, kind: Callable[[str], Number]) -> tuple[Number, ...]:
    """Numbers of a list like 1,4,60."""
    try:
        return tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise UsageError(f"{option} takes numbers with commas between them, not {text!r}") from error


def _qualities(given: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Quality of models, from NAME=VALUE."""
    qualities: dict[str, float] = {}
    for text in given:
        name, _, value = text.rpartition("=")
        if name not in names:
            raise UsageError(f"--quality {text}: give NAME=VALUE with one of {', '.join(names)}")
        try:
            qualities[name] = float(value)
        except ValueError:
            qualities[name] = math.nan
        if not math.isfinite(qualities[name]):
            raise UsageError(f"--quality {text}: {value!r} is not a number")
    return qualities
