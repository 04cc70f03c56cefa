"""`soloist visualize`: pictures of a recording, or of its separation with the sounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from soloist.cli.console import loading, print_json, print_names
from soloist.cli.names import RECIPE_SUFFIXES, check_subject, find_run
from soloist.cli.options import (
    DeviceOption,
    JsonOption,
    Override,
    check_overrides,
    keep_inputs,
    parse_arguments,
    refuse_options,
)
from soloist.errors import UsageError
from soloist.files import expand_home

if TYPE_CHECKING:
    from soloist.inspection import Excerpt
    from soloist.separators import Separator
    from soloist.training import Recipe

_RUNS = ("runs/{}", "experiments/{}/run")
"""Folders in which the commands leave the training of a recipe."""

_TRANSFORMS = ("stft:4096:1024", "slicq:bark:262:32.9")
_SECONDS = 10.0
_SPECTROGRAMS, _SEPARATION = "Spectrograms of a recording", "Separation of an excerpt"


def visualize(
    context: typer.Context,
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[RECIPE_OR_MODEL] [FILE] [--KEY VALUE]...",
            help="A recording alone; or a recipe that was trained, a run, or a model, then a recording; then "
            "values for the recipe.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Picture of a recording alone (.png, .pdf, .svg), default: FILE.png; else the folder, "
            "default: visualized/FILE.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[float, typer.Option(help="Begin here, in s.", min=0.0)] = 0.0,
    duration: Annotated[
        float | None,
        typer.Option(
            help="Show no more than this, in s; default: a recording alone to its end, else 10.",
            show_default=False,
        ),
    ] = None,
    transform: Annotated[
        list[str] | None,
        typer.Option(
            help="stft:n_fft:hop_length:window or slicq:scale:bins:fmin:slice_length:gamma, of which the end "
            f"may be left out; may be given several times. Default: {' and '.join(_TRANSFORMS)}.",
            show_default=False,
            rich_help_panel=_SPECTROGRAMS,
        ),
    ] = None,
    axis: Annotated[
        Literal["log", "scale"],
        typer.Option(
            help="Frequency by its logarithm, or by the bins of each transform.",
            rich_help_panel=_SPECTROGRAMS,
        ),
    ] = "log",
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe of the test examples, for a model on its own.",
            show_default=False,
            rich_help_panel=_SEPARATION,
        ),
    ] = None,
    picture: Annotated[
        Literal["png", "svg", "pdf"],
        typer.Option(help="Format of the picture.", rich_help_panel=_SEPARATION),
    ] = "png",
    example: Annotated[
        int,
        typer.Option(help="Number of the test example, without a FILE.", min=0, rich_help_panel=_SEPARATION),
    ] = 0,
    dimensions: Annotated[
        int,
        typer.Option(
            help="Dimensions of the picture of embeddings.", min=2, max=3, rich_help_panel=_SEPARATION
        ),
    ] = 2,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Draw a recording, or separate an excerpt and draw the sources with their masks and embeddings.

    A recording alone: its spectrograms, one below the other, one for each transform.

    `soloist visualize song.wav`

    `soloist visualize song.wav --transform stft:2048:512 --transform slicq:mel:128:40 -o song.pdf`

    A recipe, a run or a model: mixture.wav, each source, the true sources if they are known, and a picture
    with waveforms, spectrograms and, if the separator has them, masks and embeddings. Without a FILE the
    excerpt is one of the recipe's test examples, or of its validation.

    `soloist visualize runs/my_model`

    `soloist visualize hpss song.mp3 --start 60`
    """
    names, overrides = parse_arguments(arguments)
    check_overrides(overrides, context)
    if len(names) > 2:
        raise UsageError(f"name one recipe or model and one file, not {' '.join(names)}")
    if duration is not None and not duration > 0:
        raise UsageError(f"duration must be more than 0 s, not {duration:g}")
    if len(names) == 1 and (transform or _is_recording(names[0])):
        only = ("recipe", "picture", "example", "dimensions", "device", "as_json")
        refuse_options(context, only, "is for a model: name one before the file")
        print_names(_draw_recording(Path(names[0]), transform or _TRANSFORMS, output, axis, start, duration))
        return
    refuse_options(context, ["transform", "axis"], "is for a recording alone: leave out the model")
    if Path(names[0]).suffix not in RECIPE_SUFFIXES:
        check_subject(names[0])
    with loading():
        from soloist.resources import import_extra

        import_extra("matplotlib", "plot")
        from soloist.inspection import visualization_files, write_visualization
        from soloist.inspection import visualize as visualize_excerpt
    model, resolved = _resolve(names[0], recipe, overrides)
    seconds = _SECONDS if duration is None else duration
    if len(names) == 2:
        excerpt, title = _read(Path(names[1]), start, seconds), Path(names[1]).stem
    else:
        excerpt = _draw(names[0], resolved, example, start, seconds)
        title = f"{Path(names[0]).stem}-{example}"
    separator, folder = _load(model, excerpt), output or Path("visualized") / title
    inputs = names[1:] or _corpora(resolved)
    keep_inputs("a file of the picture", visualization_files(folder, separator.sources, picture), inputs)
    visualization = visualize_excerpt(separator, excerpt, device=device)
    files = write_visualization(
        visualization, folder, picture=picture, dimensions=3 if dimensions == 3 else 2
    )
    confidence = None if visualization.confidence is None else _plain(vars(visualization.confidence))
    if as_json:
        print_json(_described(names[0], excerpt, files, confidence))
        return
    print_names("\n".join(map(str, files.values())))
    if confidence is not None:
        typer.echo(", ".join(f"{name} {value}" for name, value in confidence.items()), err=True)


def _is_recording(name: str) -> bool:
    """True for an audio suffix, or a file that is no recipe."""
    from soloist.audio import AUDIO_SUFFIXES

    path = expand_home(name)
    return path.suffix.lower() in AUDIO_SUFFIXES or (path.is_file() and path.suffix not in RECIPE_SUFFIXES)


def _draw_recording(
    file: Path,
    transforms: Sequence[str],
    output: Path | None,
    axis: Literal["log", "scale"],
    start: float,
    duration: float | None,
) -> Path:
    """Draw the spectrograms of a recording; return the picture."""
    with loading():
        from soloist.resources import import_extra

        import_extra("matplotlib", "plot")
        from soloist.audio import AudioReader, track_duration
        from soloist.plots import draw_spectrograms, measure_spectrogram, picture_format, save_figure
        from soloist.transforms import parse_transform
    picture = output or Path(f"{file.stem}.png")
    picture_format(picture)
    keep_inputs("the picture", [picture], [file])
    panels = {}
    for specification in transforms:
        with AudioReader(file, start=start, duration=duration) as reader:
            rate, rest = reader.sample_rate, track_duration(file) - start
            seconds = rest if duration is None else min(rest, duration)
            analysis = parse_transform(specification, rate)
            panels[specification] = measure_spectrogram(analysis, reader.blocks(), rate, seconds)
    save_figure(draw_spectrograms(panels, axis=axis, start=start), picture)
    return picture


def _resolve(name: str, recipe: str | None, overrides: list[Override]) -> tuple[str | Path, Recipe | None]:
    """Find the model of a name, and the recipe with examples for it."""
    from soloist.training import RECIPES, RunFolder, read_recipe
    from soloist.zoo.cards import is_known

    run, whole = find_run(name)
    known = is_known(name)
    shipped = (RECIPES / f"{name}.yaml").is_file()
    if run is None and not known and (shipped or Path(name).suffix in RECIPE_SUFFIXES):
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


def _corpora(recipe: Recipe | None) -> list[Path]:
    """Folder of the corpora of a recipe, if it reads any."""
    return [] if recipe is None or recipe.data.root is None else [Path(recipe.data.root)]


def _load(model: str | Path, excerpt: Excerpt) -> Separator:
    """Load a model; one that works at any rate takes the rate of the excerpt."""
    from soloist.zoo import card_of, load

    if card_of(model).sample_rate is not None:
        return load(model)
    return load(model, sample_rate=excerpt.sample_rate, channels=excerpt.mixture.shape[0])


def _plain(figures: dict[str, Any]) -> dict[str, float | None]:
    """Figures of one item, with None for NaN, which JSON lacks."""
    import math

    values = {name: round(float(figure), 4) for name, figure in figures.items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _described(
    model: str, excerpt: Excerpt, files: dict[str, Path], confidence: dict[str, float | None] | None
) -> dict[str, Any]:
    return {
        "model": model,
        "excerpt": excerpt.name,
        "seconds": excerpt.mixture.shape[-1] / excerpt.sample_rate,
        "files": {name: str(path) for name, path in files.items()},
        "confidence": confidence,
    }
