"""`soloist plot`: a picture of a sound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

DEFAULTS = ["stft:4096:1024", "slicq:bark:262:32.9"]


def plot(
    file: Annotated[Path, typer.Argument(help="An audio or video file.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The picture (.png, .pdf, .svg); default: the file's name, .png."
        ),
    ] = None,
    transform: Annotated[
        list[str] | None,
        typer.Option(
            help="stft:n_fft:hop_length:window or slicq:scale:bins:fmin:slice_length:gamma, of which the end "
            "may be left out; may be given several times. "
            f"Default: {' and '.join(DEFAULTS)}."
        ),
    ] = None,
    axis: Annotated[
        Literal["log", "scale"],
        typer.Option(help="Frequency by its logarithm, or by the bins of each transform."),
    ] = "log",
    start: Annotated[float, typer.Option(help="Begin here, in s.")] = 0.0,
    duration: Annotated[float | None, typer.Option(help="Draw no more than this, in s.")] = None,
) -> None:
    """Draw spectrograms of a sound, one below the other, as different transforms see it.

    `soloist plot song.wav`

    `soloist plot song.wav --transform stft:2048:512 --transform slicq:mel:128:40 -o song.pdf`
    """
    from soloist.resources import import_extra

    import_extra("matplotlib", "plot")
    from soloist.audio import AudioReader
    from soloist.plots import draw_spectrograms, measure_spectrogram, picture_format, save_figure
    from soloist.transforms import parse_transform

    picture = output or Path(f"{file.stem}.png")
    picture_format(picture)
    panels = {}
    for specification in transform or DEFAULTS:
        with AudioReader(file, start=start, duration=duration) as reader:
            rate, rest = reader.sample_rate, reader.info.duration - start
            seconds = rest if duration is None else min(rest, duration)
            analysis = parse_transform(specification, rate)
            panels[specification] = measure_spectrogram(analysis, reader.blocks(), rate, seconds)
    save_figure(draw_spectrograms(panels, axis=axis, start=start), picture)
    typer.echo(picture)
