"""`soloist search`: the best settings of a transform, without any training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soloist.cli.train import require_lightning

if TYPE_CHECKING:
    from soloist.evaluation import SliCQSearch

app = typer.Typer(help="Search the settings of a transform.", no_args_is_help=True)

_SHOWN = 10


@app.callback()
def _search() -> None:
    """Search the settings of a transform."""


@app.command("slicq")
def slicq(
    corpus: Annotated[Path, typer.Argument(help="A folder of tracks with stems.", show_default=False)],
    trials: Annotated[int, typer.Option(help="Settings to try in all.", min=1)] = 60,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the search.")] = Path(
        "searches/slicq"
    ),
    method: Annotated[
        Literal["tpe", "random"], typer.Option(help="Near what was good so far, or anywhere.")
    ] = "tpe",
    seconds: Annotated[float, typer.Option(help="Length of each track's excerpt, s.")] = 5.0,
    tracks: Annotated[int, typer.Option(help="Tracks, spread over the corpus.", min=1)] = 16,
    seed: Annotated[int, typer.Option(help="Another seed tries other settings.", min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the table, and errors.")] = False,
) -> None:
    """Find the sliCQ on which sources are told apart best by their magnitudes alone.

    Scale, bins, lowest frequency and length of the slices are tried on excerpts of the tracks. The figure is
    the SDR of the sources' true magnitudes with the phase of the mixture. The same command again goes on;
    given in several terminals, they share the work.

    `soloist search slicq musdb18hq/train --trials 60 -o searches/bark`
    """
    require_lightning()
    from rich.console import Console
    from rich.progress import Progress

    from soloist.datasets import find_stem_tracks
    from soloist.evaluation import SearchSettings, SliCQSearch

    settings = SearchSettings(trials, method, seconds, tracks, seed)
    search = SliCQSearch(find_stem_tracks(corpus), output, settings)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("searching", total=trials)
        search.run(lambda done: bar.update(task, completed=done))
    _show(search)


def _show(search: SliCQSearch) -> None:
    """The best, beside the STFT; then what could not be tried, in a number."""
    from soloist.cli.runs import print_table
    from soloist.evaluation.transform_search import BASELINE

    tried = search.tried()
    best = [one for one in tried if one.sdr is not None]
    rows = [[one.transform, f"{one.sdr:.2f}"] for one in best[:_SHOWN]]
    print_table(["transform", "SDR (dB)"], [*rows, [BASELINE, f"{search.baseline:.2f}"]])
    if refused := len(tried) - len(best):
        typer.echo(f"{refused} of {len(tried)} settings cannot be: {tried[-1].reason}", err=True)
    if best:
        typer.echo(f"soloist evaluate oracle:mpi --transform {best[0].transform} CORPUS", err=True)
