"""Evidence that folders hold stems of songs, or single sounds: names and lengths of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from soloist.audio import probe
from soloist.datasets.stem_tracks import find_stem_files
from soloist.datasets.track import MIXTURE
from soloist.errors import SoloistError

_VOICES = {"vocals", "vocal", "voice", "lead", "backing", "choir", "speech", "dialog", "dialogue", "s1", "s2"}
_BAND = {"drums", "drum", "percussion", "bass", "guitar", "piano", "keys", "synth", "strings", "brass"}
_RESTS = {"mixture", "mix", "other", "others", "accompaniment", "instrumental", "music", "noise", "effects"}
_KNOWN = frozenset(_VOICES | _BAND | _RESTS)
"""Names of stems that no single sounds share within a folder."""

_MOST_FOLDERS = 32
"""Most folders that are examined, evenly spaced."""

_MOST_STEMS = 64
_FEW_STEMS = 12
"""Most files of a folder that are certainly no notes of an instrument, if all have one length."""

_MOST_PROBED = 8
"""Most files of a folder whose lengths are compared."""

_TOLERANCE = 0.1
"""Largest difference between the lengths of stems of a song that codecs cause, seconds."""


def holds_stems(root: Path) -> bool | None:
    """Tell stems of songs from single sounds.

    Stems have names that all songs share, and the length of their song; single sounds have neither. Only
    headers are read, those of a few files.

    Args:
        root: Folder of a song or sound, or of such folders at any depth.

    Returns:
        True for stems, False for single sounds, None without evidence.
    """
    folders = find_stem_files(root)
    if any(path.is_file() for path in folders):
        return True
    groups = list(folders.values())
    step = -(-len(groups) // _MOST_FOLDERS) or 1
    examined = groups[::step]
    if sum(map(len, examined)) < 2:
        return None
    if 2 * sum(path.name.lower() in _KNOWN for path in folders) > len(folders):
        return False
    several = [files for files in examined if 2 <= len(files) <= _MOST_STEMS]
    if 2 * len(several) <= len(examined):
        return False
    if 2 * sum(map(_has_known_names, several)) > len(several):
        return True
    return _judge_unknown_names(several)


def _has_known_names(files: Sequence[Path]) -> bool:
    names = {path.stem.lower() for path in files}
    return len(names & _KNOWN) >= 2 or MIXTURE in names


def _judge_unknown_names(groups: Sequence[Sequence[Path]]) -> bool | None:
    """Judge folders of two or more files by recurring names and equal lengths."""
    lengths = [_lengths(files) for files in groups]
    equal = 2 * sum(max(song) - min(song) <= _TOLERANCE for song in lengths if song) > len(groups)
    fixed = _mostly_equal([length for song in lengths for length in song])
    names = [path.stem for files in groups for path in files]
    if not equal:
        # Words that all talkers say, or stems of a song that were cut.
        numbered = any(any(map(str.isdigit, name)) for name in names)
        return None if _recur(groups) and not numbered else False
    if len(groups) == 1 or _recur(groups):
        # Clips of a fixed length may have numbers or notes for names.
        numbers = 2 * sum(not any(map(str.isalpha, name)) for name in names) > len(names)
        return None if fixed and (numbers or len(names) > _FEW_STEMS * len(groups)) else True
    return False if fixed else None


def _mostly_equal(lengths: Sequence[float]) -> bool:
    middle = median(lengths) if lengths else 0.0
    return 2 * sum(abs(length - middle) <= _TOLERANCE for length in lengths) > len(lengths)


def _recur(groups: Sequence[Sequence[Path]]) -> bool:
    """Return True if most names occur in half of the folders, at least two."""
    names = Counter(path.stem.lower() for files in groups for path in files)
    common = sum(count for count in names.values() if 2 <= count >= len(groups) / 2)
    return 2 * common > names.total()


def _lengths(files: Sequence[Path]) -> list[float]:
    """Read the known lengths of files in seconds, without damaged ones."""
    lengths: list[float | None] = []
    for path in files[:_MOST_PROBED]:
        try:
            lengths.append(probe(path).duration)
        except SoloistError:
            continue
    return [length for length in lengths if length is not None]
