"""`soloist data`: corpora are checked, and converted into a format that is quick to read."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from soloist.cli.console import (
    PrintedTable,
    decibels,
    named,
    print_json,
    print_names,
    print_table,
    progress_bar,
    warn,
)
from soloist.cli.help_pages import Command, Commands
from soloist.cli.options import OVERRIDES, JsonOption, Override, parse_arguments
from soloist.errors import UsageError
from soloist.files import counted, expand_home

if TYPE_CHECKING:
    from rich.progress import TaskID

    from soloist.datasets import Conversion, Corpus, Finding, Report, SplitSummary

app = typer.Typer(cls=Commands, help="Check and convert corpora.", no_args_is_help=True, add_completion=False)

_MOST = 20
"""Most lines for findings of one kind in one split, so that one habit does not bury the rest."""

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ROOT [--KEY VALUE]",
        help="The folder of the corpus (a synthetic one has none), and arguments of its layout.",
        show_default=False,
    ),
]
Layout = Annotated[
    str | None,
    typer.Option("--layout", "-l", help="Layout of the corpus; default: what the folder looks like."),
]


@app.callback()
def _data() -> None:
    """Check and convert corpora."""


@app.command("check", cls=Command, context_settings=OVERRIDES)
def check(
    arguments: Arguments = None,
    layout: Layout = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", "-s", help="Only this split; may be given several times.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes that decode.", min=1)] = 1,
    as_json: JsonOption = False,
) -> None:
    """Decode a corpus and report its faults.

    Errors are files that are missing or corrupt, and recordings, titles or speakers that are in two splits.
    Warnings are stems that are silent, clipped or there twice, whose rates or lengths differ, or that do not
    add up to the mixture: a difference above -40 dB, or above what the corpus' coding leaves. The exit code
    is 1 if there are errors. Arguments of the layout are given as in a recipe:

    `soloist data check musdb18hq --layout musdb18-hq --jobs 4`

    `soloist data check recordings --layout clips --pattern '(?P<speaker_name>[a-z]+)_.*'`
    """
    corpus = _open_corpus(*parse_arguments(arguments or []), layout)
    from soloist.datasets import check_corpus

    with _check_progress() as notify:
        report = check_corpus(corpus, split or (), jobs=jobs, notify=notify)
    if as_json:
        print_json(report.to_dict())
    else:
        _show_report(report)
    if report.errors:
        raise typer.Exit(1)


@app.command("convert", cls=Command, context_settings=OVERRIDES)
def convert(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ROOT OUTPUT [--KEY VALUE]",
            help="The folder of the corpus (a synthetic one has none), the folder to write, and arguments of "
            "the layout.",
            show_default=False,
        ),
    ] = None,
    layout: Layout = None,
    format_: Annotated[
        Literal["flac", "wav"],
        typer.Option("--format", "-f", help="FLAC of 24 bits, or WAV of 32-bit float."),
    ] = "flac",
    sample_rate: Annotated[
        int | None,
        typer.Option(help="Hz of the files; default: that of each track. (Some layouts have --sample_rate.)"),
    ] = None,
    mono: Annotated[bool, typer.Option("--mono", help="Average the channels to one.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Tracks converted at once.", min=1)] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there already.")
    ] = False,
) -> None:
    """Write a corpus as FLAC or WAV, whose excerpts are read faster than those of `.stem.mp4` or MP3.

    A corpus of stems becomes SPLIT/TRACK/STEM.flac, with the mixture if it is recorded: read it with the
    layout `stems`. Clips keep their paths. Samples of 24 bits or less stay as they are; stems that would clip
    are all scaled by the same gain. Files that are there already are left alone, so that the same command
    goes on after an interruption. A file that fails is named, and the exit code is 1.

    `soloist data convert musdb18 musdb18-flac --jobs 4`

    `soloist data convert whamr whamr-clean --mixture mix_clean --reverberant false`
    """
    folders, overrides = parse_arguments(arguments or [])
    if not folders:
        raise UsageError("give the folder of the corpus, and the folder to write")
    *roots, output = folders
    corpus = _open_corpus(roots, overrides, layout)
    from soloist.audio import WriteOptions
    from soloist.datasets import ConvertSettings, convert_corpus

    settings = ConvertSettings(
        expand_home(output), WriteOptions(format=format_), sample_rate, mono, overwrite
    )
    with _convert_progress() as notify:
        conversions = convert_corpus(corpus, settings, jobs=jobs, notify=notify)
    _show_conversions(conversions, settings.output)
    if any(conversion.failure for conversion in conversions):
        raise typer.Exit(1)


def _open_corpus(folders: Sequence[str], overrides: Sequence[Override], layout: str | None) -> Corpus:
    """Open the corpus that a command names.

    Args:
        folders: Folder of the corpus, unless it has none.
        overrides: Arguments of the layout, as in a recipe.
        layout: Name of the layout; None to guess it.

    Raises:
        UsageError: There is no such folder or layout, or the layout cannot be guessed.
        ConfigError: The layout has no such argument.
    """
    if len(folders) > 1:
        raise UsageError(f"one corpus at a time, not {' and '.join(folders)}")
    if layout is None and not folders:
        raise UsageError("give the folder of a corpus, or name a synthetic one with --layout")
    from soloist.config import construct
    from soloist.datasets import find_layout, guess_layout

    cls = guess_layout(folders[0]) if layout is None else find_layout(layout)
    wants_root = "root" in inspect.signature(cls).parameters
    if folders and not wants_root:
        raise UsageError(f"the corpus {cls.layout} lies in no folder: leave out {folders[0]}")
    if wants_root and not folders:
        raise UsageError(f"give the folder of the corpus {cls.layout}")
    values: dict[str, Any] = {"root": folders[0]} if folders else {}
    if overrides:
        # Knows recipes, and so PyTorch, which takes a second to import.
        from soloist.config import override

        for key, text in overrides:
            override(values, key, text)
    return construct(cls, values, f"layout {cls.layout}")


@contextmanager
def _check_progress() -> Iterator[Callable[[str, int, int], None]]:
    tasks: dict[str, TaskID] = {}
    with progress_bar() as bar:

        def notify(split: str, done: int, total: int) -> None:
            if split not in tasks:
                tasks[split] = bar.add_task(split)
            bar.update(tasks[split], completed=done, total=total)

        yield notify


@contextmanager
def _convert_progress() -> Iterator[Callable[[Conversion, int], None]]:
    with progress_bar() as bar:
        task = bar.add_task("convert", total=None)

        def notify(conversion: Conversion, total: int) -> None:
            bar.update(task, advance=1, total=total)
            if conversion.failure:
                warn(f"{conversion.track}: {conversion.failure}")

        yield notify


def _show_report(report: Report) -> None:
    for line in _lines(report.findings):
        print_names(line)
    headings = ("split", "tracks", "duration", "rate", "channels", "labels", "stems")
    print_table(PrintedTable(headings, [_row(split) for split in report.splits], headings[1:-1]))
    typer.echo(
        f"{counted(report.errors, 'error')}, {counted(report.warnings, 'warning')} in {named(report.corpus)}"
    )


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a line for each finding, and one for all further findings of a kind."""
    told: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        told[finding.kind, finding.split] += 1
        if told[finding.kind, finding.split] <= _MOST:
            yield str(finding)
    for (kind, split), number in told.items():
        if number > _MOST:
            yield f"{kind}: {number - _MOST} more in the split {split} (--json shows all)"


def _row(split: SplitSummary) -> tuple[str, ...]:
    minutes, seconds = divmod(round(split.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        split.name,
        f"{split.tracks:,}",
        f"{hours}:{minutes:02}:{seconds:02}",
        ", ".join(f"{rate} Hz" for rate in sorted(split.sample_rates)),
        ", ".join(str(count) for count in sorted(split.channels)),
        str(split.labels) if split.labels else "",
        ", ".join(
            name if count == split.tracks else f"{name} ({count})" for name, count in split.stems.items()
        ),
    )


def _show_conversions(conversions: list[Conversion], output: Path) -> None:
    failed = sum(conversion.failure is not None for conversion in conversions)
    there = sum(conversion.skipped for conversion in conversions)
    scaled = [conversion.gain for conversion in conversions if conversion.gain != 1.0]
    if scaled:
        typer.echo(f"{len(scaled)} lowered so that nothing clips, by {-decibels(min(scaled)):.1f} dB at most")
    parts = [f"{len(conversions) - failed - there} converted to {output}"]
    parts += [f"{there} were there already"] * bool(there) + [f"{failed} failed"] * bool(failed)
    typer.echo(", ".join(parts))
