"""Players to switch between mixture, references and estimates, with their spectrograms."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from soloist.audio import probe, read_audio
from soloist.datasets import MIXTURE
from soloist.evaluation.listening_excerpts import ESTIMATE, REFERENCE
from soloist.evaluation.results import SystemResults, all_targets
from soloist.players import spectrogram_uri


def render_players(systems: Sequence[SystemResults]) -> str:
    """Render a player for each track with excerpts; empty without excerpts."""
    tracks = dict.fromkeys(track for system in systems for track in system.excerpts)
    return "\n".join(
        _player(track, [system for system in systems if track in system.excerpts]) for track in tracks
    )


def _player(track: str, systems: Sequence[SystemResults]) -> str:
    first = systems[0].excerpts[track]
    files = _files_by_column(systems, track)
    targets = [target for target in all_targets(systems) if (REFERENCE, target) in files]
    columns = [REFERENCE, *(system.name for system in systems)]
    rows = "".join(
        f"<h4>{escape(target)}</h4><div class='clips'>"
        + "".join(
            _clip(files[column, target], f"{target}, {column}", column)
            for column in columns
            if (column, target) in files
        )
        + "</div>"
        for target in targets
    )
    mixture = _clip(first[MIXTURE], MIXTURE, MIXTURE, pressed=True) if MIXTURE in first else ""
    duration, rate = _length([*files.values(), *filter(None, [first.get(MIXTURE)])])
    return (
        f'<section class="listen" data-duration="{duration}" data-rate="{rate}"><h3>{escape(track)}</h3>'
        '<div class="transport"><button class="play" type="button" aria-label="Play">▶</button>'
        '<input class="seek" type="range" min="0" max="10" step="any" value="0" aria-label="Position">'
        '<span class="clock soft">0.0 s</span></div>'
        f"<div class='clips'>{mixture}</div>{rows}</section>"
    )


def _files_by_column(systems: Sequence[SystemResults], track: str) -> dict[tuple[str, str], Path]:
    """Files of a track by column (`REFERENCE` or the name of a system) and target."""
    files = {}
    for system in systems:
        for name, path in system.excerpts[track].items():
            kind, _, target = name.partition("-")
            if kind in (REFERENCE, ESTIMATE):
                files[REFERENCE if kind == REFERENCE else system.name, target] = path
    return files


def _length(files: Sequence[Path]) -> tuple[float, int]:
    """Seconds that all files have, and their rate in Hz."""
    infos = [probe(path) for path in files]
    return min(info.duration or 0.0 for info in infos), infos[0].sample_rate


def _clip(path: Path, label: str, caption: str, *, pressed: bool = False) -> str:
    audio, sample_rate = read_audio(path)
    sound = base64.b64encode(path.read_bytes()).decode()
    name = escape(label, quote=True)
    return (
        '<figure><button class="clip" type="button" '
        f'aria-pressed="{str(pressed).lower()}" aria-label="{name}" '
        f'title="{name}" data-audio="{sound}">'
        f'<img alt="Spectrogram: {name}" src="{spectrogram_uri(audio, sample_rate)}">'
        f'<span class="cursor"></span></button><figcaption>{escape(caption)}</figcaption></figure>'
    )
