"""`soloist info`: duration, rate and format of files, without decoding them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soloist.cli.console import named, warn


def info(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Audio or video files.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a file.")] = False,
) -> None:
    """Show duration, rate, channels, format and streams of audio files."""
    from soloist.audio import probe
    from soloist.errors import explain, one_line
    from soloist.files import counted, json_text

    failed = False
    for file in files:
        try:
            found = probe(file)
        except Exception as error:
            message = one_line(explain(error).replace(str(file), named(file)))
            warn(message if named(file) in message else f"{named(file)}: {message}")
            failed = True
            continue
        if as_json:
            values = {**found.__dict__, "path": str(found.path)}
            typer.echo(json_text(values))
            continue
        length = "length unknown" if found.duration is None else _clock(found.duration)
        streams = f", audio tracks: {named(', '.join(found.titles))}" if len(found.streams) > 1 else ""
        typer.echo(
            f"{named(found.path)}: {length}, {found.sample_rate} Hz, "
            f"{counted(found.channels, 'channel')}, "
            f"{found.container} ({found.codec}){streams}"
        )
    if failed:
        raise typer.Exit(1)


def _clock(duration: float) -> str:
    minutes, seconds = divmod(duration, 60)
    return f"{int(minutes)}:{seconds:06.3f}"
