"""`soloist evaluate`: models on a corpus or on the test sets of a recipe, and searches of a transform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soloist.cli.console import PrintedTable, loading, print_table, progress_bar, say
from soloist.cli.names import ORACLE, check_model
from soloist.cli.options import (
    HOW,
    DeviceOption,
    EngineOption,
    HopOption,
    MetricsOption,
    PrecisionOption,
    QuietOption,
    RankToleranceOption,
    WindowOption,
    check_exists,
    check_overrides,
    one_name,
    parse_arguments,
    refuse_options,
    require_lightning,
    split_names,
)
from soloist.cli.recipe_tests import measure_tests
from soloist.errors import UsageError
from soloist.files import counted

if TYPE_CHECKING:
    from soloist.cluster import RayEvaluation
    from soloist.datasets import TrackPath
    from soloist.evaluation import Evaluation, EvaluationSettings, SearchSettings, SliCQSearch

_CORPUS, _TESTS, _SEARCH = "Corpus", "Test sets of a recipe", "Search of a transform"
_ALL = "all"
"""Name in place of those of the models on disk."""

_SHOWN = 10
"""Best transforms of a search that are printed."""

_OF_A_CORPUS = (
    *("listen", "jobs", "cluster", "overwrite", "window", "hop", "transform", "rank_tolerance", "metrics"),
    *("engine", "precision", "chunk", "overlap", "shifts", "batch_size"),
)
_OF_A_SEARCH = ("trials", "method", "seconds", "tracks", "seed")


def evaluate(
    context: typer.Context,
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... CORPUS",
            help="Models (see: soloist models), model folders or oracles, then the folder of the corpus; "
            "all: every model on disk that has the stems of the corpus. "
            "A run alone, or one model and --recipe: the test sets of the recipe.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the results; default: results, the run itself, or searches/slicq.",
            show_default=False,
        ),
    ] = None,
    quiet: QuietOption = False,
    listen: Annotated[
        int,
        typer.Option(help="Tracks of which to keep an excerpt to listen to.", min=0, rich_help_panel=_CORPUS),
    ] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            help="Tracks evaluated at once; default: 1, or one a device of a cluster.",
            min=1,
            show_default=False,
            rich_help_panel=_CORPUS,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Evaluate on Ray: auto, local or ray://HOST:PORT.",
            metavar="CLUSTER",
            rich_help_panel=_CORPUS,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Evaluate tracks again that have scores.", rich_help_panel=_CORPUS),
    ] = False,
    window: WindowOption = 1.0,
    hop: HopOption = 1.0,
    transform: Annotated[
        str | None,
        typer.Option(
            help="Transform of the oracles: stft:4096:1024, slicq:bark:262:32.9; default: frames of 46 ms.",
            show_default=False,
            rich_help_panel=_CORPUS,
        ),
    ] = None,
    rank_tolerance: RankToleranceOption = 1e-8,
    metrics: MetricsOption = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe whose test sets (data.test) to use; default: the recipe of the run. "
            "Its keys can be given: --data.root PATH.",
            show_default=False,
            rich_help_panel=_TESTS,
        ),
    ] = None,
    search: Annotated[
        Literal["slicq"] | None,
        typer.Option(
            help="slicq: find the sliCQ on which the oracle mpi separates the CORPUS best.",
            metavar="slicq",
            show_default=False,
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    trials: Annotated[int, typer.Option(help="Settings to try in all.", min=1, rich_help_panel=_SEARCH)] = 60,
    method: Annotated[
        Literal["tpe", "random"],
        typer.Option(help="tpe: near the best settings so far.", rich_help_panel=_SEARCH),
    ] = "tpe",
    seconds: Annotated[
        float, typer.Option(help="Length of each track's excerpt, in s.", rich_help_panel=_SEARCH)
    ] = 5.0,
    tracks: Annotated[
        int, typer.Option(help="Tracks, spread over the corpus.", min=1, rich_help_panel=_SEARCH)
    ] = 16,
    seed: Annotated[
        int, typer.Option(help="Seed of the choice of settings.", min=0, rich_help_panel=_SEARCH)
    ] = 0,
    device: DeviceOption = "auto",
    engine: EngineOption = "auto",
    precision: PrecisionOption = "auto",
    chunk: Annotated[
        float | None,
        typer.Option("--chunk", "--segment", help="Chunk, in s; default: the model's.", rich_help_panel=HOW),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(help="Overlap of chunks, 0 to 0.5; default: the model's.", rich_help_panel=HOW),
    ] = None,
    shifts: Annotated[int, typer.Option(help="Passes that are averaged.", rich_help_panel=HOW)] = 1,
    batch_size: Annotated[int, typer.Option(help="Chunks separated at once.", rich_help_panel=HOW)] = 1,
) -> None:
    """Measure models on a corpus or on the test sets of a recipe.

    On a corpus: a folder of track folders (mixture.wav, vocals.wav, ...), of MUSDB18 files (*.stem.mp4), or
    one such track. Tracks that have scores are skipped. Oracles know the references: oracle:irm1, oracle:ibm,
    oracle:mwf and others; oracle:mixture is a lower bound. An oracle may name its transform:
    oracle:mpi@stft:4096:1024.

    `soloist evaluate repet-sim tdc17-vocals-1 oracle:irm1 musdb18/test -o results`

    `soloist evaluate all oracle:irm1 musdb18/test -o results`

    `soloist evaluate htdemucs musdb18/test --cluster auto`

    On a recipe's test sets: a run alone takes those of its own recipe, makes its best state its model anew
    and writes the figures into the model's card.

    `soloist evaluate runs/tiny-sudormrf-digits`

    `soloist evaluate my-model --recipe tiny-sudormrf-digits --data.root free-spoken-digit-dataset -o results`

    A search needs no training: its figure is the SDR of the sources' true magnitudes with the phase of the
    mixture. The same command goes on; given in several terminals, they share the work.

    `soloist evaluate musdb18hq/train --search slicq --trials 60 -o searches/bark`
    """
    names, overrides = parse_arguments(arguments)
    if search is not None:
        check_overrides(overrides, context, keys=())
        refuse_options(context, (*_OF_A_CORPUS, "recipe", "device"), "is not for --search")
        corpus = one_name(names, "corpus")
        check_exists(corpus)
        require_lightning()
        with loading(quiet=quiet):
            from soloist.evaluation import SearchSettings
        _search(corpus, output, SearchSettings(trials, method, seconds, tracks, seed), quiet=quiet)
        return
    refuse_options(context, _OF_A_SEARCH, "is for --search")
    if recipe is not None or len(names) == 1:
        check_overrides(overrides, context)
        refuse_options(context, _OF_A_CORPUS, "is for a corpus, not for the test sets of a recipe")
        name = one_name(names, "run or model")
        measure_tests(name, recipe, overrides, output=output, device=device, quiet=quiet)
        return
    check_overrides(overrides, context, keys=())
    *models, corpus = names
    _check_names(models, corpus)
    with loading(quiet=quiet):
        from soloist.evaluation import EvaluationSettings, ScoreSettings, SystemSettings
        from soloist.inference import StreamSettings, find_device
    stream = StreamSettings(chunk, overlap, shifts, batch_size)
    settings = EvaluationSettings(
        results=output or Path("results"),
        # A cluster has other devices than this machine.
        systems=SystemSettings(device if cluster else find_device(device), stream, engine, precision),
        scores=ScoreSettings(window, hop, rank_tolerance, metrics=split_names(metrics)),
        listen=listen,
        jobs=jobs or 1,
        overwrite=overwrite,
    )
    make = partial(_evaluation, cluster=cluster, jobs=jobs)
    _evaluate(models, corpus, settings, transform, make, quiet=quiet)


def _evaluation(
    tracks: Sequence[TrackPath], settings: EvaluationSettings, *, cluster: str | None, jobs: int | None
) -> Evaluation | RayEvaluation:
    """Evaluation by processes of this machine, or by the actors of a cluster."""
    if cluster is None:
        from soloist.evaluation import Evaluation

        return Evaluation(tracks, settings)
    from soloist.cluster import RayEvaluation

    return RayEvaluation(tracks, settings, cluster, jobs)


def _check_names(models: Sequence[str], corpus: str) -> None:
    if not models:
        raise UsageError("name at least one model or oracle, and then the folder of the corpus")
    for model in models:
        if model != _ALL and not model.startswith(ORACLE):
            check_model(model)
    check_exists(corpus)


def _evaluate(
    given: Sequence[str],
    corpus: str,
    settings: EvaluationSettings,
    transform: str | None,
    make: Callable[[Sequence[TrackPath], EvaluationSettings], Evaluation | RayEvaluation],
    *,
    quiet: bool,
) -> None:
    from soloist.cli.score import Scoreboard, keep_results
    from soloist.datasets import find_stem_tracks
    from soloist.evaluation import check_system, use_transform

    tracks = find_stem_tracks(corpus)
    models = _known_models(given, tracks, quiet=quiet)
    if transform is not None:
        models = use_transform(models, transform)
    names = [check_system(model) for model in models]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"two of the systems are called {twice[0]}: their results would be one")
    keep_results(settings.results, names, [Path(corpus)])
    board = Scoreboard(quiet=quiet)
    with make(tracks, settings) as evaluation:
        for model, name in zip(models, names, strict=True):
            with board.progress(name, len(tracks)) as notify:
                evaluation.run(model, notify)
    board.finish(settings.results)


def _known_models(given: Sequence[str], tracks: Sequence[TrackPath], *, quiet: bool) -> list[str]:
    """Names of systems, with those of the models on disk in place of `all`.

    Raises:
        UsageError: No model on disk has a stem of the corpus.
        AudioError: The first track is damaged.
    """
    from soloist.evaluation import fitting_models

    if _ALL not in given:
        return list(given)
    stems = tuple(tracks[0].open().stems)
    fitting = fitting_models(stems)
    if not fitting:
        raise UsageError(f"no model on disk separates {', '.join(stems)}; see: soloist models")
    if not quiet:
        say(f"{counted(len(fitting), 'model')} on disk for {', '.join(stems)}: {', '.join(fitting)}")
    named = [[name] if name != _ALL else fitting for name in given]
    return list(dict.fromkeys(name for names in named for name in names))


def _search(corpus: str, output: Path | None, settings: SearchSettings, *, quiet: bool) -> None:
    """Search the best sliCQ for a corpus, and print it beside the STFT."""
    from soloist.datasets import find_stem_tracks
    from soloist.evaluation import SliCQSearch

    search = SliCQSearch(find_stem_tracks(corpus), output or Path("searches/slicq"), settings)
    with progress_bar(quiet=quiet) as bar:
        task = bar.add_task("searching", total=settings.trials)
        search.run(lambda done: bar.update(task, completed=done))
    _show_search(search)


def _show_search(search: SliCQSearch) -> None:
    """Print the best transforms beside the STFT, then the number of settings that could not be tried."""
    from soloist.evaluation.transform_search import BASELINE

    tried = search.tried()
    best = [one for one in tried if one.sdr is not None]
    rows = [[one.transform, f"{one.sdr:.2f}"] for one in best[:_SHOWN]]
    print_table(
        PrintedTable(["transform", "SDR (dB)"], [*rows, [BASELINE, f"{search.baseline:.2f}"]], ["SDR (dB)"])
    )
    if refused := len(tried) - len(best):
        typer.echo(f"{refused} of {len(tried)} settings cannot be: {tried[-1].reason}", err=True)
    if best:
        typer.echo(f"soloist evaluate oracle:mpi --transform {best[0].transform} CORPUS", err=True)
