"""`soloist visualize`: what a separator does to a recording, to hear and to see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from soloist.cli.overrides import Override, check_overrides, parse_arguments
from soloist.cli.test import find_run
from soloist.errors import UsageError

if TYPE_CHECKING:
    from soloist.inspection import Excerpt
    from soloist.separators import Separator
    from soloist.training import Recipe

_RUNS = ("runs/{}", "experiments/{}/run")
"""Where the commands leave the training of a recipe."""


def visualize(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE_OR_MODEL [FILE] [--KEY VALUE]...",
            help="A recipe that was trained, a run, or a model; a recording; values for the recipe.",
            show_default=False,
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(help="Whose test examples to draw from, for a model on its own.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder; default: visualized/FILE.", show_default=False),
    ] = None,
    picture: Annotated[Literal["png", "svg", "pdf"], typer.Option(help="Format of the picture.")] = "png",
    start: Annotated[float, typer.Option(help="Begin here, in s.", min=0.0)] = 0.0,
    duration: Annotated[float, typer.Option(help="Separate no more than this, in s.")] = 10.0,
    example: Annotated[int, typer.Option(help="Which test example, where no file is given.", min=0)] = 0,
    dimensions: Annotated[int, typer.Option(help="Of the space of embeddings.", min=2, max=3)] = 2,
    device: Annotated[str, typer.Option("--device", "-d", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Separate an excerpt, and draw what came out and why.

    Writes mixture.wav, each source, the true sources where they are known, and a picture with waveforms,
    spectrograms and, where the separator has them, masks and embeddings. Without a FILE the excerpt is one of
    the recipe's test examples, or of its validation.

    `soloist visualize runs/my_model`

    `soloist visualize hpss song.mp3 --start 60`
    """
    from soloist.resources import import_extra

    import_extra("matplotlib", "plot")
    from soloist.inspection import visualize as visualize_excerpt
    from soloist.inspection import write_visualization

    names, overrides = parse_arguments(arguments)
    check_overrides(overrides, visualize)
    if len(names) > 2:
        raise UsageError(f"name one recipe or model and one file, not {' '.join(names)}")
    if not duration > 0:
        raise UsageError(f"duration must be more than 0 s, not {duration:g}")
    model, resolved = _resolve(names[0], recipe, overrides)
    if len(names) == 2:
        excerpt = _read(Path(names[1]), start, duration)
    else:
        excerpt = _draw(names[0], resolved, example, start, duration)
    visualization = visualize_excerpt(_load(model, excerpt), excerpt, device=device)
    title = Path(names[1]).stem if len(names) == 2 else f"{Path(names[0]).stem}-{example}"
    folder = output or Path("visualized") / title
    files = write_visualization(
        visualization, folder, picture=picture, dimensions=3 if dimensions == 3 else 2
    )
    confidence = None if visualization.confidence is None else _plain(vars(visualization.confidence))
    if as_json:
        _print_json(names[0], excerpt, files, confidence)
        return
    typer.echo("\n".join(map(str, files.values())))
    if confidence is not None:
        typer.echo(", ".join(f"{name} {value}" for name, value in confidence.items()), err=True)


def _resolve(name: str, recipe: str | None, overrides: list[Override]) -> tuple[str | Path, Recipe | None]:
    """The model that a name means, and the recipe that knows examples for it."""
    from soloist.training import RECIPES, RunFolder, read_recipe
    from soloist.zoo import models

    run, whole = find_run(name)
    known = any(card.name == name for card in models())
    shipped = (RECIPES / f"{name}.yaml").is_file()
    if run is None and not known and (shipped or Path(name).suffix in (".yaml", ".yml")):
        resolved = read_recipe(name, overrides)
        return _trained(name, resolved), read_recipe(recipe, overrides) if recipe else resolved
    source = recipe or (RunFolder(run).recipe if run is not None else name if shipped else None)
    if source is None and overrides:
        raise UsageError(f"{name} has no recipe for --{overrides[0][0]}: name one with --recipe")
    model = RunFolder(run).model if run is not None and whole else name
    if run is not None and not Path(model).is_dir():
        raise UsageError(f"{run} has no model yet: soloist train --resume {run}")
    return model, None if source is None else read_recipe(source, overrides)


def _trained(name: str, recipe: Recipe) -> Path:
    from soloist.training import RunFolder

    for place in _RUNS:
        model = RunFolder(Path(place.format(recipe.name))).model
        if model.is_dir():
            return model
    raise UsageError(
        f"the recipe {recipe.name} has not been trained here (there is no {_RUNS[0].format(recipe.name)}): "
        f"soloist train {name}, or name the folder of its run"
    )


def _read(path: Path, start: float, duration: float) -> Excerpt:
    from soloist.audio import read_audio
    from soloist.inspection import Excerpt

    mixture, rate = read_audio(path, start=start, duration=duration)
    return Excerpt(path.stem, mixture, rate)


def _draw(name: str, recipe: Recipe | None, number: int, start: float, duration: float) -> Excerpt:
    if recipe is None:
        raise UsageError(f"{name} has no test examples of its own: name a file to separate, or a --recipe")
    from soloist.training import draw_excerpt

    return draw_excerpt(recipe, number, start=start, duration=duration)


def _load(model: str | Path, excerpt: Excerpt) -> Separator:
    """The model; one that works at any rate gets that of the excerpt."""
    from soloist.zoo import card_of, load

    if card_of(model).sample_rate is not None:
        return load(model)
    return load(model, sample_rate=excerpt.sample_rate, channels=excerpt.mixture.shape[0])


def _plain(figures: dict[str, Any]) -> dict[str, float | None]:
    """Figures of one item; JSON has no NaN."""
    import math

    values = {name: round(float(figure), 4) for name, figure in figures.items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _print_json(
    model: str, excerpt: Excerpt, files: dict[str, Path], confidence: dict[str, float | None] | None
) -> None:
    import json

    described = {
        "model": model,
        "excerpt": excerpt.name,
        "seconds": excerpt.mixture.shape[-1] / excerpt.sample_rate,
        "files": {name: str(path) for name, path in files.items()},
        "confidence": confidence,
    }
    typer.echo(json.dumps(described, indent=2, ensure_ascii=False))
