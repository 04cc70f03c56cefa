"""`soloist score`: scores of stems that are on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def score(
    references: Annotated[
        Path,
        typer.Argument(
            metavar="REF_DIR", help="True stems: a track's folder, or a folder of tracks.", show_default=False
        ),
    ],
    estimates: Annotated[
        Path,
        typer.Argument(metavar="EST_DIR", help="Estimates under the same names.", show_default=False),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write records and reports into.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the system; default: the name of EST_DIR.")
    ] = None,
    window: Annotated[float, typer.Option(help="Length of the windows of BSS Eval, in s.")] = 1.0,
    hop: Annotated[float, typer.Option(help="Distance of the windows, in s.")] = 1.0,
    rank_tolerance: Annotated[
        float, typer.Option(help="Directions that band-limited references lack; 0: solve as museval does.")
    ] = 1e-8,
    permutation: Annotated[
        bool, typer.Option("--permutation", help="Match estimates by quality, not by name: for talkers.")
    ] = False,
    listen: Annotated[int, typer.Option(help="Tracks of which to keep an excerpt to listen to.", min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")] = False,
) -> None:
    """Score estimated stems against true ones.

    Stems are matched by name. A folder holds one track (vocals.wav, drums.flac, ...) or a folder for each
    track; references may be MUSDB18 files (*.stem.mp4). An estimate may be a union of stems: accompaniment,
    no_vocals.

    `soloist score musdb18/test separated/tdc17-vocals-1 -o results`
    """
    from soloist.cli.scoreboard import Scoreboard
    from soloist.datasets import find_stem_tracks
    from soloist.errors import UsageError
    from soloist.evaluation import FolderScoring, ScoreSettings

    if listen and output is None:
        raise UsageError("--listen keeps excerpts beside the reports: name a folder with -o")
    system = name or estimates.resolve().name
    board = Scoreboard(quiet=quiet)
    tracks = find_stem_tracks(references)
    scoring = FolderScoring(
        system, ScoreSettings(window, hop, rank_tolerance), not permutation, output, listen
    )
    with board.progress(system, len(tracks)) as notify:
        scoring.run(tracks, find_stem_tracks(estimates), notify)
    board.finish(output)
