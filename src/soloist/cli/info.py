"""`soloist info`: what a file is, without decoding it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def info(
    files: Annotated[list[Path], typer.Argument(help="Audio or video files.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a file.")] = False,
) -> None:
    """Say what audio files are: duration, rate, channels, format, streams."""
    import json

    from soloist.audio import probe
    from soloist.errors import AudioError

    failed = False
    for file in files:
        try:
            found = probe(file)
        except AudioError as error:
            typer.echo(f"soloist: {error}", err=True)
            failed = True
            continue
        if as_json:
            values = {**found.__dict__, "path": str(found.path)}
            typer.echo(json.dumps(values))
            continue
        minutes, seconds = divmod(found.duration, 60)
        streams = f", streams: {', '.join(found.streams)}" if len(found.streams) > 1 else ""
        typer.echo(
            f"{found.path}: {int(minutes)}:{seconds:06.3f}, {found.sample_rate} Hz, "
            f"{found.channels} channel{'s' * (found.channels != 1)}, "
            f"{found.container} ({found.codec}){streams}"
        )
    if failed:
        raise typer.Exit(1)
