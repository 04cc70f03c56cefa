"""Entries of a library: recordings with a model and settings each, the largest first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from soloist.errors import AudioError
from soloist.files import json_text
from soloist.inference import FileSettings, Track, find_tracks
from soloist.inference.inputs import distinct, track_name
from soloist.inference.stem_selection import StemSelection
from soloist.library.library_lists import ListedRecording, is_list, read_list
from soloist.library.manifest_row import plain_settings, work_key
from soloist.library.remote_files import RemoteFile, find_remote, is_remote

_QUESTIONS = 32
"""Number of recordings about which a storage is asked at once."""

LostInput = Callable[[str, Exception], None]
"""Callback that receives an input without any recording, and the reason."""


@dataclass(frozen=True)
class LibraryEntry:
    """Recording of a library.

    Attributes:
        track: The recording; one that is not on this machine has its URL as alias.
        model: Name or folder of its model.
        settings: Settings of its separation.
        size: Length of the file in bytes; 0 if there is no file.
        modified: Time of its last change, ns; for a URL a number that changes with the content.
    """

    track: Track
    model: str
    settings: FileSettings
    size: int = 0
    modified: int = 0

    @property
    def is_remote(self) -> bool:
        """True for a recording that is not on this machine."""
        return is_remote(self.track.alias)

    @property
    def input(self) -> str:
        """Absolute path or URL of the recording."""
        return self.track.alias or os.path.abspath(self.track.path)

    @property
    def key(self) -> int:
        """Key of the work in a manifest."""
        settings = self.settings
        return work_key(
            f"{self.input}\0{self.track.name}",
            settings.start,
            settings.duration,
            self.model,
            _settings_text(settings),
        )


@cache
def _text_of(settings: FileSettings) -> str:
    return json_text(plain_settings(settings))


_texts: dict[int, tuple[FileSettings, str]] = {}
_MOST_TEXTS = 1000


def _settings_text(settings: FileSettings) -> str:
    """Text of the settings that rows share, made once for all excerpts.

    Settings are known by identity first: to compare them takes longer than all else about a key.
    """
    known = _texts.get(id(settings))
    if known is None:
        if len(_texts) >= _MOST_TEXTS:
            _texts.clear()
        # Its settings are kept, so that no others have the same identity.
        known = _texts[id(settings)] = settings, _text_of(replace(settings, start=0.0, duration=None))
    return known[1]


def find_entries(
    inputs: Iterable[str], model: str | Callable[[], str], settings: FileSettings, lost: LostInput
) -> list[LibraryEntry]:
    """Find the recordings of a library, the largest first.

    Args:
        inputs: Files, folders, globs, lists (.csv, .jsonl, .parquet), and URLs of files, folders and globs.
        model: Name or folder of the model of entries that name none; or a function that finds it, called if
            there are such entries.
        settings: Settings of entries that have none of their own.
        lost: Callback for inputs without any recording.

    Raises:
        UsageError: A list is not valid, a package for it is missing, or no input has any recording.
    """
    given = list(inputs)
    elsewhere = [each for each in given if is_remote(each)]
    listed = [each for each in given if is_list(each) and each not in elsewhere]
    here = [each for each in given if each not in elsewhere and each not in listed]
    tracks = find_tracks(here, exclude=settings.folder, failure=lost) if here else []
    choose = cache(model) if callable(model) else lambda: model
    entries = [_local(track, choose(), settings) for track in tracks]
    for path in listed:
        entries += _read(path, choose, settings)
    for url in elsewhere:
        try:
            entries += [_remote(found, found.name, choose(), settings) for found in find_remote(url)]
        except AudioError as error:
            lost(url, error)
    return sorted(_named_apart(entries), key=lambda entry: -entry.size)


def _read(path: str, model: Callable[[], str], settings: FileSettings) -> list[LibraryEntry]:
    """Entries of a list; what its storage says about a recording elsewhere comes for several at once."""
    make, rows = _Maker(model, settings), list(read_list(Path(path)))
    if not any(is_remote(row.path) for row in rows):
        return [make(row) for row in rows]
    with ThreadPoolExecutor(_QUESTIONS) as pool:
        return list(pool.map(make, rows))


class _Maker:
    """Makes entries of listed recordings; those of the same settings share them."""

    def __init__(self, model: Callable[[], str], settings: FileSettings) -> None:
        self._model, self._settings = model, settings
        self._made: dict[tuple[object, ...], FileSettings] = {}

    def __call__(self, listed: ListedRecording) -> LibraryEntry:
        model, settings = listed.model or self._model(), self._settings_for(listed)
        path = Path(listed.path)
        if is_remote(listed.path):
            try:
                (found,) = find_remote(listed.path)
            except (AudioError, ValueError):  # its separation says what is wrong
                found = RemoteFile(listed.path, track_name(path), 0, 0)
            return _remote(found, listed.name or found.name, model, settings)
        return _local(Track(path, listed.name or track_name(path)), model, settings)

    def _settings_for(self, listed: ListedRecording) -> FileSettings:
        own = (listed.stems, listed.start, listed.duration)
        if own not in self._made:
            settings = self._settings
            if listed.stems:
                chosen = settings.selection
                selection = StemSelection(listed.stems, None, chosen.residual, chosen.consistency)
                settings = replace(settings, selection=selection)
            start = settings.start if listed.start is None else listed.start
            duration = settings.duration if listed.duration is None else listed.duration
            self._made[own] = replace(settings, start=start, duration=duration)
        return self._made[own]


def _remote(found: RemoteFile, name: str, model: str, settings: FileSettings) -> LibraryEntry:
    return LibraryEntry(Track(Path(found.url), name, found.url), model, settings, found.size, found.version)


def _local(track: Track, model: str, settings: FileSettings) -> LibraryEntry:
    try:
        about = os.stat(track.path)
    except (OSError, ValueError):
        return LibraryEntry(track, model, settings)  # its separation says what is wrong
    return LibraryEntry(track, model, settings, about.st_size, about.st_mtime_ns)


def _named_apart(entries: Sequence[LibraryEntry]) -> list[LibraryEntry]:
    """Entries without repetitions, in which no two of one model have the same name."""
    by_model: dict[str, dict[int, LibraryEntry]] = {}
    for entry in entries:
        by_model.setdefault(entry.model, {}).setdefault(entry.key, entry)
    named = []
    for group in by_model.values():
        tracks = distinct([entry.track for entry in group.values()])
        named += [replace(entry, track=track) for entry, track in zip(group.values(), tracks, strict=True)]
    return named
