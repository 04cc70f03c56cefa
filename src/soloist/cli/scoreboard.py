"""What `score` and `evaluate` tell: progress, the track that fails, and the table in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from soloist.evaluation import Outcome, SystemResults, load_results, write_reports
from soloist.evaluation.result_tables import SUMMARY_HEADINGS, summary_rows

_NARROWEST = 120


class Scoreboard:
    """Collects outcomes and shows them.

    Args:
        quiet: Tell only what went wrong.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._outcomes: dict[str, list[Outcome]] = {}

    @contextmanager
    def progress(self, system: str, count: int) -> Iterator[Callable[[Outcome], None]]:
        """Show how far a system has come; gives the function to call with every outcome."""
        outcomes = self._outcomes.setdefault(system, [])
        hidden = self._quiet or not self._console.is_terminal
        with Progress(console=self._console, transient=True, disable=hidden) as bar:
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
        """Show the table, write the reports where there is a folder, and leave with 1 if anything failed."""
        systems = [
            SystemResults(name, tuple(outcome.record for outcome in outcomes if outcome.record))
            for name, outcomes in self._outcomes.items()
        ]
        if not self._quiet:
            _print_table(systems)
        if results is not None and any(system.records for system in systems):
            self._say(f"report: {write_reports(results, load_results([results]))}")
        if not all(outcome.complete for outcomes in self._outcomes.values() for outcome in outcomes):
            raise typer.Exit(1)

    def _tell(self, system: str, outcome: Outcome) -> None:
        if outcome.failure:
            self._warn(f"{system}, {outcome.track}: {outcome.failure}")
        if outcome.record is not None:
            for line in outcome.record.refused:
                self._warn(f"{system}, {outcome.track}, {line}")
            for line in outcome.record.notes:
                self._say(f"{system}, {outcome.track}, {line}")

    def _warn(self, message: str) -> None:
        self._console.print(f"soloist: {message}", markup=False, highlight=False, soft_wrap=True)

    def _say(self, message: str) -> None:
        if not self._quiet:
            self._console.print(message, markup=False, highlight=False, soft_wrap=True)


def _print_table(systems: list[SystemResults]) -> None:
    rows = summary_rows(systems)
    if not rows:
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in SUMMARY_HEADINGS:
        words = heading in ("target", "system")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # Figures that are cut tell nothing: a narrow terminal wraps the lines, a file has no width.
    console = Console()
    Console(width=max(console.width, _NARROWEST)).print(table)
