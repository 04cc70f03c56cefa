"""URLs where a file is asked for: what they are taken for, and what is said of them."""

from __future__ import annotations

import os
import re

from soloist.errors import UsageError

_FILE = "file"
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,3}[^/]", re.IGNORECASE)


def is_url(name: str) -> bool:
    """Tell whether a name is a URL; a drive letter is none."""
    return _URL.match(name) is not None


def _whole(path: str | os.PathLike[str]) -> str:
    """URL of a path that was made of one, which has lost the second slash."""
    name = os.fspath(path)
    found = _URL.match(name)
    assert found is not None
    scheme = found[1].lower()
    return f"{scheme}:{'///' if scheme == _FILE else '//'}{name[found.end() - 1 :]}"


def _file_of_url(url: str) -> str | None:
    return url.removeprefix(f"{_FILE}://") if url.startswith(f"{_FILE}:") else None


def refuse_url(path: str | os.PathLike[str], role: str) -> None:
    """Refuse a URL as the place of something that is written.

    Args:
        path: The place.
        role: Name of the place, such as "--output".

    Raises:
        UsageError: Names the URL and the way out.
    """
    if not is_url(os.fspath(path)):
        return
    url = _whole(path)
    place = _file_of_url(url)
    way = "write into a folder, and copy it there" if place is None else f"give {place}"
    raise UsageError(f"{role} {url} is a URL, and files are written to this machine: {way}")


def missing(path: str | os.PathLike[str]) -> str:
    """Line about a file that does not exist; for a URL, with a way to read it."""
    name = os.fspath(path)
    if not is_url(name):
        return f"{name} does not exist"
    if (place := _file_of_url(url := _whole(name))) is not None:
        return f"{url} is a URL: give the path of the file, {place}"
    return (
        f"{url} is a URL, and only files are read: download it first, or send the sound to standard input: "
        f"ffmpeg -i '{url}' -f wav - | soloist separate -"
    )
