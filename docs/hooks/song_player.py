"""Mixer of the example recording, which the home page embeds: separated anew in each build."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
MODEL = "two-stage-hpss"
"""Model without weights: the build needs no network, and anybody hears the same."""


@cache
def files() -> dict[str, bytes]:
    """The page with the mixer, by its path in the site."""
    # Imported here: a build with an error in the configuration ends before PyTorch is loaded.
    import soloist
    from soloist.players import write_song_page

    with TemporaryDirectory() as folder:
        separation = soloist.separate(os.fspath(ROOT / "examples/band/mixture.flac"), model=MODEL)
        stems = separation.save(folder, format="flac")
        page = Path(folder) / "mixer.html"
        write_song_page(page, "The example recording", stems)
        return {"assets/mixer.html": page.read_bytes()}
