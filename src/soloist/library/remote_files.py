"""Recordings that are not on this machine: found and copied by fsspec."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from soloist.audio import AUDIO_SUFFIXES
from soloist.errors import AudioError, UsageError, one_line
from soloist.files import scratch_folder
from soloist.inference.inputs import track_name
from soloist.resources import import_extra
from soloist.urls import is_url

SCHEMES = ("s3", "gs", "hf", "az", "memory", "local")
"""Schemes of URLs that fsspec reads; those of the web are not among them."""


@dataclass(frozen=True)
class RemoteFile:
    """File that is not on this machine.

    Attributes:
        url: Its URL.
        name: Name of its track.
        size: Length in bytes.
        version: Number that changes with the content, as far as the storage tells.
    """

    url: str
    name: str
    size: int
    version: int


def is_remote(given: str) -> bool:
    """Tell whether an input is a URL of one of `SCHEMES`."""
    return is_url(given) and given.partition(":")[0].lower() in SCHEMES


def find_remote(given: str) -> list[RemoteFile]:
    """Find a file, the audio files below a folder, or those of a glob, in a stable order.

    Raises:
        AudioError: There is nothing, or the storage does not answer.
        UsageError: fsspec, or its part for this storage, is not installed.
    """
    system, place = _system_of(given)
    try:
        if any(letter in place for letter in "*?["):
            top, found = place, system.glob(place, detail=True)
        elif system.isdir(place):
            top, found = place, system.find(place, detail=True)
        else:
            return [_describe(system, given, system.info(place), "")]
    except FileNotFoundError as error:
        raise AudioError(f"{given} does not exist") from error
    except Exception as error:  # each storage has errors of its own
        raise AudioError(f"{given}: {one_line(error) or type(error).__name__}") from error
    files = [found[path] for path in sorted(found) if found[path]["type"] == "file"]
    sounds = [each for each in files if PurePosixPath(each["name"]).suffix.lower() in AUDIO_SUFFIXES]
    if not sounds:
        raise AudioError(f"no audio files in {given}")
    return [_describe(system, system.unstrip_protocol(each["name"]), each, top) for each in sounds]


def _describe(system: Any, url: str, about: Any, top: str) -> RemoteFile:
    name = PurePosixPath(about["name"])
    below = name.parent.relative_to(top) if top and name.is_relative_to(top) else PurePosixPath()
    version = hashlib.sha256(str(system.ukey(about["name"])).encode()).digest()[:7]
    track = (below / track_name(Path(name.name))).as_posix()
    return RemoteFile(url, track, int(about["size"] or 0), int.from_bytes(version, "big"))


@contextmanager
def fetched(url: str, version: int) -> Iterator[Path]:
    """Yield a copy of a remote file, which vanishes after the block.

    Args:
        url: The file.
        version: Its version, which becomes the copy's time of change: records compare it.

    Raises:
        AudioError: The file cannot be read.
    """
    system, place = _system_of(url)
    with scratch_folder() as folder:
        copy = folder / f"recording{PurePosixPath(place).suffix}"
        try:
            system.get_file(place, str(copy))
        except FileNotFoundError as error:
            raise AudioError(f"{url} does not exist") from error
        except Exception as error:
            raise AudioError(f"{url} cannot be read: {one_line(error) or type(error).__name__}") from error
        os.utime(copy, ns=(version, version))
        yield copy


def _system_of(url: str) -> tuple[Any, str]:
    """File system of a URL, and the place in it."""
    core = import_extra("fsspec.core", "remote")
    try:
        system, place = core.url_to_fs(url)
    except ImportError as error:
        raise UsageError(f"{url}: {one_line(error)}") from error
    except Exception as error:
        raise AudioError(f"{url}: {one_line(error) or type(error).__name__}") from error
    return system, place
