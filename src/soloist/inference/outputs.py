"""Files of a track's stems, by a template, and their disk space."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from soloist import __version__
from soloist.errors import AudioError, UsageError
from soloist.zoo.cards import megabytes

FIELDS = ("model", "track", "stem", "ext")
DEFAULT_TEMPLATE = "{model}/{track}/{stem}.{ext}"
MULTI_STREAM_TEMPLATE = "{model}/{track}.{ext}"

_LONGEST_NAME = 255
"""Longest name of a file, bytes (characters on Windows)."""

_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\..*)?", re.I | re.S)


def check_template(template: str, *, one_file_per_stem: bool) -> None:
    """Refuse a template with an unknown field, or with the same name for all stems.

    Raises:
        UsageError: Names the known fields.
    """
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise UsageError(f"template {template!r}: {error}") from error
    unknown = fields - set(FIELDS)
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise UsageError(f"template {template!r}: unknown field {sorted(unknown)[0]!r}; there are {known}")
    if one_file_per_stem and "stem" not in fields:
        raise UsageError(f"template {template!r} must have {{stem}} in it, or all stems get the same name")


def stem_paths(
    folder: Path, template: str, *, model: str, track: str, stems: Sequence[str], extension: str
) -> dict[str, Path]:
    """File of each stem, inside `folder`.

    Args:
        folder: The output folder.
        template: Path below the folder with the fields {model}, {track}, {stem}, {ext}.
        model: Name of the model; the last part of a path.
        track: Name of the track, with or without folders.
        stems: Names of the stems.
        extension: Suffix of the format, without the dot.

    Raises:
        UsageError: A path would leave the folder, or is a device of Windows there.
        AudioError: A name is longer than file systems allow, as some tracks make it.
    """
    model = Path(model).name or "model"
    paths = {}
    for stem in stems:
        relative = template.format(model=model, track=track, stem=stem, ext=extension)
        path = folder / relative
        if "\0" in relative or not _is_inside(path, folder):
            raise UsageError(f"{relative!r} lies outside the output folder {folder}")
        if os.name == "nt" and (device := windows_device(relative)):
            raise UsageError(f"{relative!r}: {device!r} is a device of Windows: take another --template")
        check_lengths(path, relative)
        paths[stem] = path
    return paths


def origin_comment(model: str) -> str:
    """Line about the origin of stems, for their tags."""
    return f"Separated by Soloist {__version__} with {PurePosixPath(model).name or 'a model'}"


def _is_inside(path: Path, folder: Path) -> bool:
    """Tell whether a path lies in a folder, whatever links are on the way."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def windows_device(relative: str) -> str | None:
    """Part of a path that Windows takes for a device or a stream of a file, such as `CON` or `aux.wav`."""
    parts = re.split(r"[/\\]", relative)
    return next((part for part in parts if _DEVICE.fullmatch(part) or ":" in part), None)


def check_lengths(path: Path, relative: str) -> None:
    """Refuse names that no file can have, before anything is separated.

    Raises:
        AudioError: Names the longest name.
    """
    longest = max((part for part in Path(relative).parts), key=_length, default="")
    if _length(longest) > _LONGEST_NAME:
        raise AudioError(
            f"{path}: a name of {_length(longest)} bytes is too long, {_LONGEST_NAME} are possible: "
            "take another --template"
        )


def _length(name: str) -> int:
    return len(name) if os.name == "nt" else len(os.fsencode(name))


@dataclass(frozen=True)
class DiskSpace:
    """Disk space of the stems of a file, in MB (10^6 bytes).

    Attributes:
        needed: Upper bound while the stems are written; None if the length of the file is unknown.
        kept: Upper bound of the finished stems; None if the length of the file is unknown.
        available: Free space; None if the system does not say.
    """

    needed: float | None
    kept: float | None
    available: float | None

    def check(self, name: str) -> None:
        """Refuse to begin what the disk has no room for.

        Args:
            name: Name of the file for the user.

        Raises:
            AudioError: The disk has no room for the stems.
        """
        if self.available is not None and self.needed is not None and self.needed > self.available:
            raise AudioError(
                f"{name}: the stems take up to {megabytes(self.needed * 1e6)} of the disk while they are "
                f"written, and {megabytes(self.available * 1e6)} are there: make room, or take another "
                "--output or --format"
            )
