"""Downloads of published checkpoints: resumed, checked by hash, under their final name only when whole.

If a card does not know the full hash of a file, the first download that imports as the model records the
hash, and every later download must have it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
import yaml

from soloist.config import read_yaml
from soloist.errors import ModelError, one_line
from soloist.files import home, sha256_of, write_whole
from soloist.zoo.cards import Card, PublishedFile, find, models_folder
from soloist.zoo.published_checkpoints import import_checkpoint

Progress = Callable[[int, int | None], None]
Notice = Callable[[str], None]

_ATTEMPTS = 5
_TIMEOUT = (15, 60)
# A broken connection loses the bytes since the last whole block.
_BLOCK = 4096
_DIGITS = 64


def download(name: str, progress: Progress | None = None, notice: Notice | None = None) -> Path:
    """Download a model's published checkpoint and make a model folder of it.

    A file that the user put into the downloads folder is not downloaded again.

    Args:
        name: Name of the model.
        progress: Callback with the number of received bytes and the final number (None if unknown).
        notice: Callback with lines that the user should read.

    Returns:
        The model folder.

    Raises:
        ModelError: The model is unknown or has no published file; the file cannot be downloaded, is another
            one, or cannot be written.
    """
    card = find(name)
    if card.config is not None:
        raise ModelError(f"{name} has no weights: there is nothing to download")
    if card.on_disk:
        return card.folder
    if not card.files:
        raise ModelError(f"no published file of {name} is known: soloist models import FILE --name {name}")
    files: list[_File] = []
    for published in card.files:
        before = sum(file.path.stat().st_size for file in files)
        files.append(_obtain(card, published, _in_all(card, before, progress)))
    return _import(card, files, notice)


def downloads_folder() -> Path:
    """Folder of published files, downloaded or put there by hand."""
    return home() / "downloads"


@dataclass(frozen=True)
class _File:
    """A published file in the downloads folder.

    Attributes:
        published: Entry of the card.
        path: Path of the file.
        by_hand: True if the file was there before the download.
        certain: True if the full hash was known.
    """

    published: PublishedFile
    path: Path
    by_hand: bool
    certain: bool


def _import(card: Card, files: Sequence[_File], notice: Notice | None) -> Path:
    """Make a model folder of downloaded files, record unknown hashes, and delete the files."""
    try:
        folder = import_checkpoint([file.path for file in files], card.folder, card.name)
    except ModelError:
        # Without a hash, the import alone tells a model from a page that asks to log in.
        for file in files:
            if not file.certain and not file.by_hand:
                file.path.unlink()
        raise
    for file in files:
        if not file.certain:
            _record(file.published, sha256_of(file.path), notice)
        if not file.by_hand:
            file.path.unlink()
    return folder


def _obtain(card: Card, published: PublishedFile, progress: Progress | None) -> _File:
    """Take a file from the downloads folder, or download it to there."""
    expected = published.sha256
    if len(expected) < _DIGITS:
        expected = _recorded().get(_key(published), expected)
    path = downloads_folder() / published.filename
    by_hand = path.is_file()
    if by_hand:
        _check_file(path, expected)
    else:
        _fetch(card, published, expected, progress)
    return _File(published, path, by_hand, certain=len(expected) == _DIGITS)


def _in_all(card: Card, before: int, progress: Progress | None) -> Progress | None:
    """Turn the progress of one file, after `before` bytes of others, into that of all files of a card."""
    if progress is None or len(card.files) == 1:
        return progress
    sizes = [file.size for file in card.files if file.size is not None]
    total = sum(sizes) if len(sizes) == len(card.files) else None
    return lambda received, _: progress(before + received, total)


class _ResumingDownloader:
    """Downloader whose partial file survives a failure and is continued the next time.

    Only the same version of a file is continued: the server compares its tag of the first part.
    """

    def __init__(self, part: Path, expected: str, progress: Progress | None) -> None:
        self.part = part
        self.expected = expected
        self.tag = part.with_name(f"{part.name}.tag")
        self.progress = progress

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        for attempt in range(_ATTEMPTS):
            before = self._received()
            try:
                self._receive(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                if self._received() <= before or attempt == _ATTEMPTS - 1:
                    raise
        self.tag.unlink(missing_ok=True)
        if not sha256_of(self.part).startswith(self.expected):
            self.part.unlink()
            raise ValueError("the file has another hash")
        os.replace(self.part, output_file)

    def _received(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _receive(self, url: str) -> None:
        start = self._received()
        headers = {"Accept-Encoding": "identity"}
        if start and self.tag.is_file():
            headers |= {"Range": f"bytes={start}-", "If-Range": self.tag.read_text(encoding="ascii")}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()
                return self._receive(url)
            response.raise_for_status()
            follows = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            if response.status_code != requests.codes.partial_content:
                start = 0
                self._keep_tag(response)
            elif not follows:
                raise requests.RequestException("the server sent another part than was asked for")
            self._write(response, start)

    def _keep_tag(self, response: requests.Response) -> None:
        tag = response.headers.get("ETag", "")
        strong = tag if not tag.startswith("W/") else ""
        if tag := strong or response.headers.get("Last-Modified", ""):
            self.tag.write_text(tag, encoding="ascii")
        else:
            self.tag.unlink(missing_ok=True)

    def _write(self, response: requests.Response, start: int) -> None:
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        received = start
        with self.part.open("ab" if start else "wb") as file:
            for block in response.iter_content(_BLOCK):
                file.write(block)
                received += len(block)
                if self.progress is not None:
                    self.progress(received, total)
        if total is not None and received < total:
            raise requests.ConnectionError(f"the connection ended after {received} of {total} bytes")


def _fetch(card: Card, published: PublishedFile, expected: str, progress: Progress | None) -> None:
    """Download a published file to the downloads folder.

    Raises:
        ModelError: The download fails, or gives a file of another hash.
    """
    folder, url = downloads_folder(), published.url
    by_hand = _by_hand(card, published, expected)
    if not url:
        raise ModelError(f"no address of {published.filename} is known. {by_hand}")
    # The errors below say all of it.
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        pooch.retrieve(
            url,
            # The downloader compares hashes, of which only the first digits may be known.
            known_hash=None,
            fname=published.filename,
            path=folder,
            downloader=_ResumingDownloader(folder / f"{published.filename}.part", expected, progress),
        )
    except requests.HTTPError as error:
        raise ModelError(f"cannot download: {one_line(error)}. {by_hand}") from error
    except requests.RequestException as error:
        host = urlsplit(url).netloc
        raise ModelError(f"cannot download {url}: no connection to {host}, or it broke. {by_hand}") from error
    except OSError as error:
        raise ModelError(f"cannot write to {folder}: {one_line(error)}") from error
    except ValueError as error:
        raise ModelError(
            f"the file at {url} does not have sha256 {_digits(expected)}: it was not kept"
        ) from error


def _by_hand(card: Card, published: PublishedFile, expected: str) -> str:
    """Instruction for a download by hand: file, hash, address and place."""
    digest = f" (sha256 {_digits(expected)})" if expected else ""
    where = f" from {published.url or card.origin}" if published.url or card.origin else ""
    return (
        f"Get {published.filename}{digest}{where} in another way, put it at "
        f"{downloads_folder() / published.filename} and run: soloist models download {card.name}"
    )


def _check_file(path: Path, expected: str) -> None:
    if not (found := sha256_of(path)).startswith(expected):
        raise ModelError(f"{path} has sha256 {found}, not {_digits(expected)}: delete it and try again")


def _digits(expected: str) -> str:
    """Hash for messages, with dots for unknown digits."""
    return expected if len(expected) == _DIGITS else f"{expected}..."


def _key(published: PublishedFile) -> str:
    return published.url or published.filename


def _trust_file() -> Path:
    return models_folder() / "trusted-hashes.yaml"


def _recorded() -> dict[str, Any]:
    """Read the hashes of first downloads, by address."""
    return read_yaml(_trust_file()) if _trust_file().is_file() else {}


def _record(published: PublishedFile, digest: str, notice: Notice | None) -> None:
    hashes = {**_recorded(), _key(published): digest}
    write_whole(_trust_file(), yaml.safe_dump(hashes))
    if notice is not None:
        notice(
            f"the hash of {published.filename} was not known in full: this download is trusted from now on "
            f"(sha256 {digest}, recorded in {_trust_file()})"
        )
