"""One page with the mixer of a song, which needs neither other files nor a network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from soloist.audio import AudioReader, StemWriter, WriteOptions, probe
from soloist.errors import UsageError
from soloist.files import json_text, scratch_folder, write_whole
from soloist.players.page_parts import inline_scripts, read_part
from soloist.players.peaks import ZOOMS, PeakMeter

LONGEST = 900.0
"""Longest song of a page, s: a browser reads the page whole."""

_BITRATE = 192
"""kbit/s of each stem, where MP3 has this rate: from 32 kHz on."""


def write_song_page(path: Path, name: str, stems: Mapping[str, Path]) -> None:
    """Write the page of a song with its stems as MP3 in it.

    Args:
        path: The HTML file.
        name: Name of the song.
        stems: File of each stem; all of one length and rate.

    Raises:
        UsageError: The song is longer than `LONGEST`, or has more than two channels.
        AudioError: A stem cannot be read.
    """
    info = probe(next(iter(stems.values())))
    if (info.duration or 0.0) > LONGEST or info.channels > 2:
        raise UsageError(
            f"a page is for mono or stereo of up to {LONGEST / 60:g} minutes: soloist mix opens {name}"
        )
    parts = {stem: _encode(file) for stem, file in stems.items()}
    song = {
        "name": name,
        "rate": info.sample_rate,
        "samples": min(samples for *_, samples in parts.values()),
        "stems": {stem: {"sound": sound, "peaks": peaks} for stem, (sound, peaks, _) in parts.items()},
    }
    template = Template(read_part("song_page.html"))
    # A closing tag inside a name would end the script.
    data = json_text(song).replace("<", "\\u003c")
    page = template.substitute(
        title=escape(name),
        style=read_part("players.css"),
        script=inline_scripts(["song_page.js"]),
        song=data,
    )
    write_whole(path, page)


def _encode(file: Path) -> tuple[str, dict[str, str], int]:
    """A stem as MP3 and its peaks, both in base64, and its number of samples."""
    meter, samples = PeakMeter(), 0
    with AudioReader(file) as reader, scratch_folder() as scratch:
        sound = scratch / "sound.mp3"
        options = WriteOptions("mp3", bitrate=_BITRATE if reader.sample_rate >= 32000 else None)
        with StemWriter({"sound": sound}, reader.sample_rate, reader.channels, options) as writer:
            for block in reader.blocks():
                meter.add(block)
                writer.write(block[None])
                samples += block.shape[1]
            writer.commit()
        encoded = _base64(sound.read_bytes())
    peaks = {str(zoom): _base64(np.ascontiguousarray(meter.peaks(zoom)).tobytes()) for zoom in ZOOMS[1:]}
    return encoded, peaks, samples


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
