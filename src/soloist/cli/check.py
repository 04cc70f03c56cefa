"""`soloist data check`: what a corpus holds, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from soloist.cli.corpora import Arguments, Layout, open_corpus
from soloist.cli.overrides import parse_arguments

if TYPE_CHECKING:
    from soloist.datasets import Finding, Report, SplitSummary

_MOST = 20
"""Lines for findings of one kind in one split: a corpus with a habit would bury all others."""

_NARROWEST = 120


def check(
    arguments: Arguments = None,
    layout: Layout = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", "-s", help="Only this split; may be given several times.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes that decode.", min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Decode a corpus and say what is wrong with it.

    Errors are files that are missing or corrupt, and recordings, titles or speakers that are in two splits.
    Warnings are stems that are silent, clipped or there twice, whose rates or lengths differ, or that do not
    add up to the mixture: a difference above -40 dB, or above what the corpus' coding leaves. The exit code
    is 1 if there are errors. Arguments of the layout are given as in a recipe:

    `soloist data check musdb18hq --layout musdb18-hq --jobs 4`

    `soloist data check recordings --layout clips --pattern '(?P<speaker_name>[a-z]+)_.*'`
    """
    import json

    from soloist.datasets import check_corpus

    corpus = open_corpus(*parse_arguments(arguments or []), layout)
    with _progress() as notify:
        report = check_corpus(corpus, split or (), jobs=jobs, notify=notify)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    else:
        _show(report)
    if report.errors:
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    console = Console(stderr=True)
    tasks: dict[str, TaskID] = {}
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:

        def notify(split: str, done: int, total: int) -> None:
            if split not in tasks:
                tasks[split] = bar.add_task(split)
            bar.update(tasks[split], completed=done, total=total)

        yield notify


def _show(report: Report) -> None:
    for line in _lines(report.findings):
        typer.echo(line)
    _print_table(report)
    typer.echo(f"{_number(report.errors, 'error')}, {_number(report.warnings, 'warning')} in {report.corpus}")


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    """One line a finding, and one for those of a kind that are too many."""
    told: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        told[finding.kind, finding.split] += 1
        if told[finding.kind, finding.split] <= _MOST:
            yield str(finding)
    for (kind, split), count in told.items():
        if count > _MOST:
            yield f"{kind}: {count - _MOST} more in the split {split} (--json tells them all)"


def _print_table(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("split", "tracks", "duration", "rate", "channels", "labels", "stems"):
        words = heading in ("split", "stems")
        table.add_column(heading, justify="left" if words else "right", no_wrap=heading != "stems")
    for split in report.splits:
        table.add_row(*_row(split))
    # Figures that are cut tell nothing: a narrow terminal wraps the lines, a file has no width.
    Console(width=max(Console().width, _NARROWEST)).print(table)


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


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
