"""Transfers over HTTP: resumed, checked by hash and length, and given up where a server is silent."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests

from soloist.errors import ModelError, one_line
from soloist.files import scratch_folder, sha256_of
from soloist.zoo.published_files import SourceError

Progress = Callable[[int, int | None], None]
"""Callback that receives the number of received bytes and the final number, None if unknown."""

SILENCE = 5.0
"""Seconds without a byte after which a source is given up."""

DIGITS = 64
"""Hexadecimal digits of a whole hash."""

_ATTEMPTS = 5
# A broken connection loses the bytes since the last whole block.
_BLOCK = 4096


class Hosts:
    """Network hosts, and the reason for which each gives nothing; every host is asked once."""

    def __init__(self) -> None:
        self._faults: dict[str, str] = {}

    def ask(self, urls: Iterable[str]) -> None:
        """Ask all hosts that were not asked before, at the same time and for no longer than `SILENCE`."""
        new = {urlsplit(url).netloc: url for url in urls if urlsplit(url).netloc not in self._faults}
        # Daemons: a resolver that is silent must not keep the program from its end.
        threads = [threading.Thread(target=self._ask, args=item, daemon=True) for item in new.items()]
        self._faults |= {host: f"no answer from {host} in {SILENCE:g} s" for host in new}
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + SILENCE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        # A late answer does not change what was said.
        self._faults = dict(self._faults)

    def fault(self, url: str) -> str:
        """Reason for which the host of an address gives nothing; empty if it answers."""
        self.ask([url])
        return self._faults[urlsplit(url).netloc]

    def _ask(self, host: str, url: str) -> None:
        faults = self._faults
        try:
            root = f"{urlsplit(url).scheme}://{host}/"
            requests.head(root, timeout=SILENCE, allow_redirects=False).close()
            faults[host] = ""
        except requests.Timeout:
            pass
        except requests.RequestException:
            faults[host] = f"no connection to {host}"


def transfer(
    url: str, path: Path, expected: str, size: int | None, progress: Progress | None, hosts: Hosts
) -> None:
    """Download a file, and give it its name when it is whole.

    Args:
        url: Address.
        path: File to write, in a folder that is made if need be; a partial file beside it is continued.
        expected: Hash, or its first digits.
        size: Length in bytes; None if unknown.
        progress: Callback with the received bytes.
        hosts: Hosts that answer.

    Raises:
        SourceError: The server does not answer, refuses, or gives another file.
        ModelError: The file cannot be written.
    """
    if fault := hosts.fault(url):
        raise SourceError(fault, url)
    # The errors below say all of it.
    pooch.get_logger().setLevel(logging.WARNING)
    downloader = ResumingDownloader(path.with_name(f"{path.name}.part"), expected, size, progress)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # pooch makes a temporary file of its own, which a kill would leave.
        with scratch_folder(path.parent) as scratch:
            # The downloader compares hashes, of which only the first digits may be known.
            pooch.retrieve(url, known_hash=None, fname=path.name, path=scratch, downloader=downloader)
            os.replace(scratch / path.name, path)
    except requests.HTTPError as error:
        answer = one_line(error).partition(" for url")[0]
        raise SourceError(f"{urlsplit(url).netloc} answers {answer}", url) from error
    except requests.Timeout as error:
        reason = f"{urlsplit(url).netloc} sent nothing for {SILENCE:g} s"
        raise SourceError(reason, url) from error
    except requests.RequestException as error:
        reason = f"no connection to {urlsplit(url).netloc}, or it broke"
        raise SourceError(reason, url) from error
    except OSError as error:
        raise ModelError(f"cannot write to {path.parent}: {error.strerror or error}") from error
    except ValueError as error:
        raise SourceError(f"the file at {url} {error}: it was not kept") from error


class ResumingDownloader:
    """Downloader for pooch whose partial file survives a failure and is continued the next time.

    Only the same version of a file is continued: the server compares its tag of the first part.

    Args:
        part: Partial file.
        expected: Hash of the whole file, or its first digits.
        size: Length of the whole file in bytes; None if unknown.
        progress: Callback with the received bytes.
    """

    def __init__(self, part: Path, expected: str, size: int | None, progress: Progress | None) -> None:
        self.part = part
        self.expected = expected
        self.size = size
        self.tag = part.with_name(f"{part.name}.tag")
        self.progress = progress

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        """Receive the file, in several attempts while each brings it forward.

        Raises:
            ValueError: The file has another hash or length; nothing of it is kept.
        """
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
            raise ValueError(f"does not have sha256 {digits(self.expected)}")
        os.replace(self.part, output_file)

    def _received(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _receive(self, url: str) -> None:
        start = self._received()
        headers = {"Accept-Encoding": "identity"}
        if start and self.tag.is_file():
            headers |= {"Range": f"bytes={start}-", "If-Range": self.tag.read_text(encoding="ascii")}
        with requests.get(url, headers=headers, stream=True, timeout=SILENCE) as response:
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
                if self.size is not None and received > self.size:
                    self._discard()
                    raise ValueError(f"is longer than {self.size} bytes")
                if self.progress is not None:
                    self.progress(received, total)
        if total is not None and received < total:
            raise requests.ConnectionError(f"the connection ended after {received} of {total} bytes")

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)


def digits(expected: str) -> str:
    """Hash for messages, with dots for unknown digits."""
    return expected if len(expected) == DIGITS else f"{expected}..."
