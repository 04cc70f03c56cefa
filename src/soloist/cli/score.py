"""`soloist score`: scores of stems on disk, and the scoreboard of `evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soloist.cli.console import PrintedTable, loading, print_table, progress_bar, say, warn
from soloist.cli.options import (
    HopOption,
    MetricsOption,
    QuietOption,
    RankToleranceOption,
    WindowOption,
    check_exists,
    keep_inputs,
    split_names,
)
from soloist.errors import UsageError
from soloist.files import json_text

if TYPE_CHECKING:
    from soloist.evaluation import Outcome, SystemResults


RESULT_FILES = ("test/**/*.json", "listen/**/*.mp3")
"""Files in the folder of a system: scores and excerpts."""


def score(
    references: Annotated[
        Path,
        typer.Argument(
            metavar="REF_DIR", help="True stems: a track's folder, or a folder of tracks.", show_default=False
        ),
    ],
    estimates: Annotated[
        list[Path],
        typer.Argument(
            metavar="EST_DIR...",
            help="Estimates under the same names: a folder for each system.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write records and reports into.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the only system; default: the name of EST_DIR.")
    ] = None,
    start: Annotated[float, typer.Option(help="Begin here in each track, in s.", min=0.0)] = 0.0,
    duration: Annotated[float | None, typer.Option(help="Score no more than this, in s.")] = None,
    metrics: MetricsOption = None,
    window: WindowOption = 1.0,
    hop: HopOption = 1.0,
    rank_tolerance: RankToleranceOption = 1e-8,
    permutation: Annotated[
        bool, typer.Option("--permutation", help="Match estimates by quality, not by name: for talkers.")
    ] = False,
    listen: Annotated[int, typer.Option(help="Tracks of which to keep an excerpt to listen to.", min=0)] = 0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Tracks scored at once.", min=1)] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON list of a row for each track and stem on standard output.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Score estimated stems against true ones.

    Stems are matched by name. A folder holds one track (vocals.wav, drums.flac, ...) or a folder for each
    track; references may be MUSDB18 files (*.stem.mp4). An estimate may be a union of stems: accompaniment,
    no_vocals.

    `soloist score musdb18/test separated/tdc17-vocals-1 separated/htdemucs -o results`
    """
    if listen and output is None:
        raise UsageError("--listen keeps excerpts beside the reports: name a folder with -o")
    systems = _system_names(estimates, name)
    check_exists(references, *estimates)
    with loading(quiet=quiet):
        from soloist.datasets import find_stem_tracks
        from soloist.evaluation import FolderScoring, ScoreSettings
    settings = ScoreSettings(window, hop, rank_tolerance, start, duration, split_names(metrics))
    board = Scoreboard(quiet=quiet, as_json=as_json)
    tracks = find_stem_tracks(references)
    if output is not None:
        keep_results(output, systems, [references, *estimates])
    for system, folder in zip(systems, estimates, strict=True):
        scoring = FolderScoring(system, settings, not permutation, output, listen, jobs)
        with board.progress(system, len(tracks)) as notify:
            scoring.run(tracks, find_stem_tracks(folder), notify)
    board.finish(output)


def _system_names(estimates: Sequence[Path], name: str | None) -> list[str]:
    """Names of systems: of their folders, as far up as they differ.

    Raises:
        UsageError: A name is given for several systems, or two folders are one.
    """
    if name is not None:
        if len(estimates) > 1:
            raise UsageError("--name is for one EST_DIR; several are called by their folders")
        return [name]
    folders = [folder.resolve() for folder in estimates]
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        names = [f"{folder.parent.name}-{folder.name}" for folder in folders]
    if len(set(names)) < len(names):
        twice = next(each for each in names if names.count(each) > 1)
        raise UsageError(f"two of the systems are called {twice}: rename a folder")
    return names


def keep_results(results: Path, systems: Sequence[str], inputs: Sequence[Path]) -> None:
    """Refuse results that would replace a recording of a corpus or of the estimates.

    Raises:
        UsageError: Names the file and the way out.
    """
    from soloist.evaluation.records import system_folder
    from soloist.evaluation.reports import report_files

    folders = [system_folder(results, system) for system in systems]
    earlier = [path for folder in folders for kind in RESULT_FILES for path in folder.glob(kind)]
    keep_inputs("a file of the results", [*earlier, *report_files(results)], inputs)


class Scoreboard:
    """Progress, failures and results of the systems that are scored.

    Args:
        quiet: Print failures alone.
        as_json: Print the rows of the tracks as JSON instead of the table.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self._quiet, self._as_json = quiet or as_json, as_json
        self._outcomes: dict[str, list[Outcome]] = {}

    @contextmanager
    def progress(self, system: str, count: int) -> Iterator[Callable[[Outcome], None]]:
        """Show the progress of a system; gives the function to call with every outcome."""
        outcomes = self._outcomes.setdefault(system, [])
        with progress_bar(quiet=self._quiet) as bar:
            task = bar.add_task(system, total=count)

            def notify(outcome: Outcome) -> None:
                outcomes.append(outcome)
                bar.advance(task)
                self._tell(system, outcome)

            yield notify
        resumed = sum(outcome.resumed for outcome in outcomes)
        if resumed:
            self._say(f"{system}: {resumed} of {count} tracks had scores already")

    def finish(self, results: Path | None) -> None:
        """Print the table, write the reports if there is a folder, and leave with 1 if anything failed."""
        from soloist.evaluation import SystemResults, load_results, track_rows, write_reports

        systems = [
            SystemResults(name, tuple(outcome.record for outcome in outcomes if outcome.record))
            for name, outcomes in self._outcomes.items()
        ]
        if self._as_json:
            typer.echo(json_text(track_rows(systems), indent=1))
        elif not self._quiet:
            _print_summary(systems)
        if results is not None and any(system.records for system in systems):
            self._say(f"report: {write_reports(results, load_results([results]))}")
        if not all(outcome.complete for outcomes in self._outcomes.values() for outcome in outcomes):
            raise typer.Exit(1)

    def _tell(self, system: str, outcome: Outcome) -> None:
        if outcome.failure:
            warn(f"{system}, {outcome.track}: {outcome.failure}")
        if outcome.record is not None:
            for line in outcome.record.refused:
                warn(f"{system}, {outcome.track}, {line}")
            for line in outcome.record.notes:
                self._say(f"{system}, {outcome.track}, {line}")

    def _say(self, message: str) -> None:
        if not self._quiet:
            say(message)


def _print_summary(systems: list[SystemResults]) -> None:
    from soloist.evaluation.result_tables import summary_headings, summary_rows

    if rows := summary_rows(systems):
        headings = summary_headings(systems)
        print_table(PrintedTable(headings, rows, headings[2:]))
