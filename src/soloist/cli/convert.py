"""`soloist data convert`: a corpus in a format that is quick to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soloist.cli.corpora import Layout, open_corpus
from soloist.cli.overrides import parse_arguments

if TYPE_CHECKING:
    from soloist.datasets import Conversion


def convert(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ROOT OUTPUT [--KEY VALUE]",
            help="The folder of the corpus (a synthetic one has none), the folder to write, and arguments of "
            "the layout.",
            show_default=False,
        ),
    ] = None,
    layout: Layout = None,
    format_: Annotated[
        Literal["flac", "wav"],
        typer.Option("--format", "-f", help="FLAC of 24 bits, or WAV of 32-bit float."),
    ] = "flac",
    sample_rate: Annotated[
        int | None,
        typer.Option(help="Hz of the files; default: that of each track. (Some layouts have --sample_rate.)"),
    ] = None,
    mono: Annotated[bool, typer.Option("--mono", help="Average the channels to one.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Tracks under way at once.", min=1)] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do again what is there already.")] = False,
) -> None:
    """Write a corpus anew, once: `.stem.mp4`, MP3 or anything else as FLAC, of which excerpts are read fast.

    A corpus of stems becomes SPLIT/TRACK/STEM.flac, with the mixture where it is recorded: read it with the
    layout `stems`. Clips keep their paths. Samples of 24 bits or less stay as they are; stems that would clip
    are all scaled by the same gain. What is there already is left alone, so that the command can be given
    again after an interruption. What fails is told, and the exit code is 1.

    `soloist data convert musdb18 musdb18-flac --jobs 4`

    `soloist data convert whamr whamr-clean --mixture mix_clean --reverberant false`
    """
    from soloist.audio import WriteOptions
    from soloist.datasets import ConvertSettings, convert_corpus
    from soloist.errors import UsageError

    folders, overrides = parse_arguments(arguments or [])
    if not folders:
        raise UsageError("convert what into what? Give the folder of the corpus, and the one to write")
    *roots, output = folders
    corpus = open_corpus(roots, overrides, layout)
    settings = ConvertSettings(
        Path(output).expanduser(), WriteOptions(format=format_), sample_rate, mono, overwrite
    )
    with _progress() as notify:
        conversions = convert_corpus(corpus, settings, jobs=jobs, notify=notify)
    _summarise(conversions, settings.output)
    if any(conversion.failure for conversion in conversions):
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[Conversion, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("convert", total=None)

        def notify(conversion: Conversion, total: int) -> None:
            bar.update(task, advance=1, total=total)
            if conversion.failure:
                message = f"soloist: {conversion.track}: {conversion.failure}"
                console.print(message, markup=False, highlight=False, soft_wrap=True)

        yield notify


def _summarise(conversions: list[Conversion], output: Path) -> None:
    failed = sum(conversion.failure is not None for conversion in conversions)
    there = sum(conversion.skipped for conversion in conversions)
    scaled = [conversion.gain for conversion in conversions if conversion.gain != 1.0]
    if scaled:
        typer.echo(f"{len(scaled)} scaled so that nothing clips, by no less than {min(scaled):.4f}")
    parts = [f"{len(conversions) - failed - there} converted to {output}"]
    parts += [f"{there} were there already"] * bool(there) + [f"{failed} failed"] * bool(failed)
    typer.echo(", ".join(parts))
