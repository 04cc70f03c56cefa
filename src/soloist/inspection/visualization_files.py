"""The files of a close look: a WAV for each signal, and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from soloist.audio import StemWriter, WriteOptions
from soloist.inference.outputs import stem_paths
from soloist.plots import SeparationFigure, draw_separation, save_figure

PICTURE = "picture"

PictureFormat = Literal["png", "svg", "pdf"]


def write_look(
    separation: SeparationFigure,
    folder: Path,
    *,
    picture: PictureFormat = "png",
    dimensions: Literal[2, 3] = 2,
) -> dict[str, Path]:
    """Write `mixture.wav`, `<source>.wav`, `<source>-reference.wav` where it is known, and `picture.png`.

    The sounds appear together when they are complete, then the picture. Files of these names are replaced.

    Args:
        separation: What is written.
        folder: Where; it is made if it is not there.
        picture: Format of the picture.
        dimensions: Of the space that embeddings are drawn in.

    Returns:
        Each file by what it holds.

    Raises:
        UsageError: The name of a source is no name for a file.
        AudioError: A file cannot be written.
    """
    references = {f"{name}-reference": audio for name, audio in separation.references.items()}
    signals = {"mixture": separation.mixture, **separation.estimates, **references}
    paths = stem_paths(
        folder, "{stem}.{ext}", model="", track="", stems=list(signals), extension=WriteOptions().extension
    )
    figure = draw_separation(separation, dimensions=dimensions)
    channels = separation.mixture.shape[0]
    with StemWriter(paths, separation.sample_rate, channels, WriteOptions()) as writer:
        writer.write(torch.stack(list(signals.values())).numpy())
        writer.commit()
    paths[PICTURE] = folder / f"{PICTURE}.{picture}"
    save_figure(figure, paths[PICTURE])
    return paths
