"""Placement of a track's stems: no input and no stem of another recording is replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from soloist.errors import AudioError, UsageError
from soloist.inference.inputs import folded
from soloist.inference.stem_record import StemRecord, read_records

Existing = Literal["keep", "skip", "replace"]
"""Treatment of finished stems: those of another recording are kept; finished ones skipped; all replaced."""

Identity = tuple[int, int] | str
"""Identity of an existing file: device and number, or the path where the file system numbers no files."""

_WAY_OUT = "choose another --output or --template"


@dataclass(frozen=True)
class Placement:
    """Files of a track's stems.

    Attributes:
        stems: File of each stem.
        done: True if all of them are finished.
        note: Line for the user about stems that were there before; empty if there is nothing to say.
    """

    stems: dict[str, Path]
    done: bool = False
    note: str = ""


def identify(path: Path) -> Identity | None:
    """Identity of a file, the same by any link and any spelling of its name; None if there is no file."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return None
    return (about.st_dev, about.st_ino) if about.st_ino else os.path.realpath(path).casefold()


def check_targets(
    targets: Sequence[tuple[Path, Mapping[str, Path]]], inputs: Mapping[Identity, Path]
) -> None:
    """Refuse a batch in which a stem would replace an input, or two inputs would share a file.

    Args:
        targets: Each input, and the files of its stems.
        inputs: All inputs by their identity.

    Raises:
        UsageError: Names the file and the way out.
    """
    owners: dict[str, Path] = {}
    for source, stems in targets:
        protect(stems.values(), inputs)
        for path in set(stems.values()):
            key = folded(os.path.abspath(path))
            if owners.setdefault(key, source) != source:
                raise UsageError(
                    f"stems of {owners[key]} and {source} would both be written to {path}: put {{track}} "
                    "into --template, or give each input an --output of its own"
                )


def protect(paths: Iterable[Path], inputs: Mapping[Identity, Path]) -> None:
    """Refuse to replace an input.

    Raises:
        UsageError: Names the file and the way out.
    """
    for path in paths:
        identity = identify(path)
        if identity is not None and identity in inputs:
            source = inputs[identity]
            same = "" if str(path) == str(source) else f" (the same file as {path})"
            raise UsageError(f"a stem would replace the input {source}{same}: {_WAY_OUT}")


def place(
    track: str,
    paths_of: Callable[[str], dict[str, Path]],
    wanted: StemRecord,
    fits: Callable[[Path], bool],
    existing: Existing,
) -> Placement:
    """Choose the files of a track's stems.

    Args:
        track: Name of the track. If its files belong to another recording, a number is added.
        paths_of: Files of a track of a given name.
        wanted: Record of the stems to write.
        fits: Callback that tells whether a file without a record is as long as the wanted stems.
        existing: Treatment of finished stems.

    Raises:
        AudioError: The files belong to another recording, and the name of the track is not part of theirs.
    """
    first = paths_of(track)
    for number in count(1):
        paths = first if number == 1 else paths_of(f"{track} ({number})")
        if number > 1 and paths == first:
            raise AudioError(f"{_taken(first, wanted)}: {_WAY_OUT} with {{track}}, or --overwrite")
        found = _records(paths.values())
        if existing == "replace" or all(_is_own(path, found[path], wanted, fits, existing) for path in found):
            placement = _judge(paths, found, wanted, existing)
            beside = f"{_taken(first, wanted)}; they are kept" if number > 1 else ""
            notes = [note for note in (beside, placement.note) if note]
            return Placement(paths, placement.done, "; ".join(notes))
    raise AssertionError("the numbers never end")


def _records(paths: Iterable[Path]) -> dict[Path, StemRecord | None]:
    """Records of the files that exist."""
    return {path: read_records(path.parent).get(path.name) for path in set(paths) if os.path.isfile(path)}


def _is_own(
    path: Path,
    record: StemRecord | None,
    wanted: StemRecord,
    fits: Callable[[Path], bool],
    existing: Existing,
) -> bool:
    """Return True if a file is a stem of the recording; without a record, only skipping trusts its length."""
    if record is None:
        return existing == "skip" and fits(path)
    return record.input.is_same_recording(wanted.input)


def _judge(
    paths: dict[str, Path],
    found: Mapping[Path, StemRecord | None],
    wanted: StemRecord,
    existing: Existing,
) -> Placement:
    complete = bool(paths) and set(paths.values()) == found.keys()
    differences = {_difference(record, wanted) for record in found.values()} - {None}
    if existing == "skip" and complete and not differences:
        unknown = any(record is None for record in found.values())
        return Placement(paths, True, "they have the right length and no record" if unknown else "")
    reasons = " and ".join(sorted(filter(None, differences)))
    return Placement(paths, note=f"earlier stems are replaced: {reasons}" if reasons else "")


def _difference(record: StemRecord | None, wanted: StemRecord) -> str | None:
    if record is None:
        return None
    if not record.input.is_same_recording(wanted.input):
        return f"they were of another recording, {record.input.path}"
    return record.difference(wanted)


def _taken(paths: Mapping[str, Path], wanted: StemRecord) -> str:
    """Description of the files that are in the way, and of their origin."""
    path, record = next(
        (path, record)
        for path, record in _records(paths.values()).items()
        if record is None or not record.input.is_same_recording(wanted.input)
    )
    origin = "another file, not recorded as a stem" if record is None else f"a stem of {record.input.path}"
    return f"{path} is {origin}"
