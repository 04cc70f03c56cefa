"""Options of several commands, and values of a recipe on the command line: `--data.root PATH`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from soloist.errors import UsageError
from soloist.files import expand_home

RECIPE_KEYS = (
    *("name", "separator", "data", "loss", "valid_loss", "optimizer", "rates", "scheduler", "warmup"),
    *("trainer", "ema", "patience", "max_plateaus", "min_delta", "monitor", "keep", "checkpoint_every"),
    *("seed", "watch", "metrics", "callbacks", "imports", "card", "sweep", "stages"),
    *("from", "freeze", "lora"),
)
"""Keys of `soloist.training.Recipe`, whose import takes a second."""

STAGES = ("prepare", "train", "evaluate", "visualize", "analyze")
"""Stages of an experiment, as in `soloist.training.Stage`."""

OVERRIDES = {"ignore_unknown_options": True}
"""Context settings of a command that takes keys of a recipe or of a layout."""

HOW = "How"
"""Help panel of the options for devices, engines and chunks."""

Override = tuple[str, str]
"""A dotted key and its value, as YAML."""

DeviceOption = Annotated[
    str, typer.Option("--device", "-d", help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=HOW)
]
EngineOption = Annotated[
    Literal["auto", "torch", "openvino", "onnxruntime", "cudagraph"],
    typer.Option(
        help="Engine of the network: auto, torch, openvino, onnxruntime, cudagraph; see docs/engines.md.",
        metavar="ENGINE",
        rich_help_panel=HOW,
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(
        help="Precision of the network: auto, float32, bfloat16, float16 (GPU); see docs/engines.md.",
        metavar="PRECISION",
        rich_help_panel=HOW,
    ),
]
WindowOption = Annotated[float, typer.Option(help="Length of the windows of BSS Eval, in s.")]
HopOption = Annotated[float, typer.Option(help="Distance of the windows, in s.")]
RankToleranceOption = Annotated[
    float,
    typer.Option(help="Rank tolerance for band-limited references; 0: solve as museval does."),
]
MetricsOption = Annotated[
    str | None,
    typer.Option(
        help="Further metrics, with commas: si-sdri, usdri, sd-sdr, csdr, pesq, stoi, estoi, or your own by "
        "class path, mine.Loudness (--import mine.py).",
        metavar="NAME,...",
        show_default=False,
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the result, and errors.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def parse_arguments(arguments: Iterable[str]) -> tuple[list[str], list[Override]]:
    """Split arguments into names, and keys with their values (`--key value`, `--key=value`).

    Raises:
        UsageError: A key has no value.
    """
    names, overrides = [], []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            names.append(argument)
            continue
        key, equals, value = argument.removeprefix("--").partition("=")
        if not equals and (value := next(rest, "")) == "":
            raise UsageError(f"{argument} needs a value")
        overrides.append((key, value))
    return names, overrides


def check_overrides(
    overrides: Sequence[Override], context: typer.Context, *, keys: Collection[str] = RECIPE_KEYS
) -> None:
    """Refuse keys that no recipe has; a misspelt option of the command looks like one.

    Args:
        overrides: Keys and values.
        context: The command that they were given to.
        keys: First parts of the known keys.

    Raises:
        UsageError: There is no such key.
    """
    from soloist.config import nearest

    for key, _ in overrides:
        if key.partition(".")[0] not in keys:
            known = [*(f"--{name}" for name in keys), *_options_of(context)]
            raise UsageError(f"there is no option --{key}; {nearest(f'--{key}', known)}")


def refuse_options(context: typer.Context, names: Collection[str], reason: str) -> None:
    """Refuse options that another form of the command takes.

    Args:
        context: The command.
        names: Names of the parameters of these options.
        reason: Text after the option in the message: `is for --search`.

    Raises:
        UsageError: One of the options was given.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"{parameter.opts[0]} {reason}")


def split_names(text: str | None) -> tuple[str, ...]:
    """Names in a text, between commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def one_name(names: Sequence[str], what: str, way_out: str = "") -> str:
    """The only name of a command line.

    Raises:
        UsageError: There is none, or there are several.
    """
    if len(names) != 1:
        raise UsageError(f"name one {what}, not {' '.join(names) or 'none'}{way_out}")
    return names[0]


def require_lightning() -> None:
    """Refuse to train without the packages that only training needs.

    Raises:
        UsageError: They are not installed.
    """
    try:
        import lightning  # noqa: F401
    except ImportError as error:
        raise UsageError('training needs more packages: pip install "soloist[train]"') from error


def check_exists(*paths: str | Path) -> None:
    """Refuse a missing file or folder before slow imports.

    Raises:
        UsageError: There is no such file or folder.
    """
    for path in paths:
        if not expand_home(path).exists():
            raise UsageError(f"there is no folder or file {path}")


def keep_inputs(
    what: str,
    outputs: Iterable[Path],
    inputs: Iterable[str | Path],
    *,
    way_out: str = "choose another --output",
) -> None:
    """Refuse to replace an input, or a sound file in a folder of inputs.

    Args:
        what: Name of the outputs.
        outputs: Files to write.
        inputs: Files and folders.
        way_out: Advice for the user.

    Raises:
        UsageError: Names the file and the way out.
    """
    there = [path for path in outputs if path.is_file()]
    if not there:
        return
    from soloist.audio import AUDIO_SUFFIXES
    from soloist.input_files import identify_all, protect

    paths = [expand_home(given) for given in inputs]
    sounds = (
        file
        for folder in paths
        if folder.is_dir()
        for file in folder.rglob("*")
        if file.suffix.lower() in AUDIO_SUFFIXES
    )
    protect(there, identify_all([*paths, *sounds]), what=what, way_out=way_out)


def _options_of(context: typer.Context) -> list[str]:
    return [option for parameter in context.command.params for option in parameter.opts if "--" in option]
