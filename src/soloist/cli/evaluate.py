"""`soloist evaluate`: how well models separate a corpus, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soloist.cli.options import EngineOption

_HOW = "How"


def evaluate(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... CORPUS",
            help="Models (see: soloist models), model folders or oracles, then the folder of the corpus.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = Path("results"),
    listen: Annotated[int, typer.Option(help="Tracks of which to keep an excerpt to listen to.", min=0)] = 1,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Tracks under way at once.", min=1)] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Evaluate anew what has scores already.")
    ] = False,
    window: Annotated[float, typer.Option(help="Length of the windows of BSS Eval, in s.")] = 1.0,
    hop: Annotated[float, typer.Option(help="Distance of the windows, in s.")] = 1.0,
    transform: Annotated[
        str | None,
        typer.Option(
            help="What oracles mask: stft:4096:1024, slicq:bark:262:32.9; default: frames of 46 ms.",
            show_default=False,
        ),
    ] = None,
    rank_tolerance: Annotated[
        float, typer.Option(help="Directions that band-limited references lack; 0: solve as museval does.")
    ] = 1e-8,
    device: Annotated[
        str, typer.Option("--device", "-d", help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=_HOW)
    ] = "auto",
    engine: EngineOption = "auto",
    chunk: Annotated[
        float | None,
        typer.Option("--chunk", "--segment", help="Chunk, in s; default: the model's.", rich_help_panel=_HOW),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(help="Overlap of chunks, 0 to 0.5; default: the model's.", rich_help_panel=_HOW),
    ] = None,
    shifts: Annotated[int, typer.Option(help="Passes that are averaged.", rich_help_panel=_HOW)] = 1,
    batch_size: Annotated[int, typer.Option(help="Chunks separated at once.", rich_help_panel=_HOW)] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")] = False,
) -> None:
    """Separate a corpus with one or more models and score what they make of it.

    The corpus is a folder of track folders (mixture.wav, vocals.wav, ...), of MUSDB18 files (*.stem.mp4), or
    one such track. Tracks that have scores are not done again. Oracles know the references: oracle:irm1,
    oracle:ibm, oracle:mwf and others; oracle:mixture is a lower bound. An oracle may name the transform that
    it works on: oracle:mpi@stft:4096:1024.

    `soloist evaluate repet-sim tdc17-vocals-1 oracle:irm1 musdb18/test -o results`
    """
    from soloist.cli.scoreboard import Scoreboard
    from soloist.datasets import find_stem_tracks
    from soloist.errors import UsageError
    from soloist.evaluation import (
        Evaluation,
        EvaluationSettings,
        ScoreSettings,
        SystemSettings,
        check_system,
        use_transform,
    )
    from soloist.inference import StreamSettings, find_device

    *models, corpus = arguments
    if not models:
        raise UsageError("name at least one model or oracle, and then the folder of the corpus")
    if transform is not None:
        models = use_transform(models, transform)
    settings = EvaluationSettings(
        results=output,
        systems=SystemSettings(
            find_device(device), StreamSettings(chunk, overlap, shifts, batch_size), engine
        ),
        scores=ScoreSettings(window, hop, rank_tolerance),
        listen=listen,
        jobs=jobs,
        overwrite=overwrite,
    )
    tracks = find_stem_tracks(corpus)
    names = [check_system(model) for model in models]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"two of the systems are called {twice[0]}: their results would be one")
    board = Scoreboard(quiet=quiet)
    with Evaluation(tracks, settings) as evaluation:
        for model, name in zip(models, names, strict=True):
            with board.progress(name, len(tracks)) as notify:
                evaluation.run(model, notify)
    board.finish(output)
