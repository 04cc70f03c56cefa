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
from soloist.input_files import Identity, protect

Existing = Literal["keep", "skip", "replace"]
"""Treatment of finished stems: those of another recording are kept; finished ones skipped; all replaced."""

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


class Placer:
    """Chooses the files of a track's stems.

    Args:
        wanted: Record of the stems to write.
        source: File of the recording.
        fits: Callback that tells whether a file without a record is as long as the wanted stems.
        existing: Treatment of finished stems.
    """

    def __init__(
        self, wanted: StemRecord, source: Path, fits: Callable[[Path], bool], existing: Existing
    ) -> None:
        self._wanted, self._source = wanted, source
        self._fits, self._existing = fits, existing

    def place(self, track: str, paths_of: Callable[[str], dict[str, Path]]) -> Placement:
        """Choose the files.

        Args:
            track: Name of the track. If its files belong to another recording, a number is added.
            paths_of: Files of a track of a given name.

        Raises:
            AudioError: The files belong to another recording, and the name of the track is not part of
                theirs.
        """
        first = paths = paths_of(track)
        beside = ""
        for number in count(2):
            found = _records(paths.values())
            foreign = [path for path, record in found.items() if not self._is_own(path, record)]
            if self._existing == "replace" or not foreign:
                break
            taken = _describe(foreign[0], found[foreign[0]])
            beside = beside or f"{taken}; it is kept"
            paths = paths_of(f"{track} ({number})")
            if paths == first:
                raise AudioError(f"{taken}: {_WAY_OUT} with {{track}}, or --overwrite")
        return self._judge(paths, found, beside)

    def _is_own(self, path: Path, record: StemRecord | None) -> bool:
        """Return True for a stem of the recording; without a record, only skipping trusts the length."""
        if record is None:
            return self._existing == "skip" and self._fits(path)
        return record.input.is_same_recording(self._wanted.input, self._source)

    def _judge(
        self, paths: dict[str, Path], found: Mapping[Path, StemRecord | None], beside: str
    ) -> Placement:
        """Decide whether the files are finished, and name the reasons if they are replaced."""
        complete = set(paths.values()) == found.keys()
        reasons = sorted({reason for record in found.values() if (reason := self._difference(record))})
        note = f"earlier stems are replaced: {' and '.join(reasons)}" if reasons else ""
        done = self._existing == "skip" and complete and not reasons
        if done and None in found.values():
            note = "they have the right length and no record"
        return Placement(paths, done, "; ".join(filter(None, (beside, note))))

    def _difference(self, record: StemRecord | None) -> str | None:
        if record is None:
            return None
        if not record.input.is_same_recording(self._wanted.input, self._source):
            return f"they were of another recording, {record.input.path}"
        return record.difference(self._wanted, self._source)


def _records(paths: Iterable[Path]) -> dict[Path, StemRecord | None]:
    """Records of the files that exist; an empty file is no stem."""
    there = {path for path in paths if os.path.isfile(path) and os.path.getsize(path)}
    return {path: read_records(path.parent).get(path.name) for path in there}


def _describe(path: Path, record: StemRecord | None) -> str:
    """Description of a file that is in the way, and of its origin."""
    if record is None:
        return f"{path} is no stem of this recording, or has no record"
    return f"{path} is a stem of {record.input.path}"
