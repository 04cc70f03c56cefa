"""Members of archives (tar, zip, wheels), found by their exact names and copied under names of our own."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from soloist.errors import ModelError, one_line
from soloist.files import Staging, some
from soloist.zoo.published_files import SourceError

_BLOCK = 1 << 20

_RATIO = 20
"""Longest member of unknown length, in lengths of the archive: weights are hardly compressible."""

_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error),
    *(EOFError, NotImplementedError, RuntimeError, UnicodeError),
)


@dataclass(frozen=True)
class WantedMember:
    """Member of an archive to be copied.

    Attributes:
        path: File to write.
        size: Length in bytes; None if unknown.
    """

    path: Path
    size: int | None = None


def extract_members(archive: Path, wanted: Mapping[str, WantedMember]) -> None:
    """Copy members of an archive to files: all of them, or none.

    Args:
        archive: Archive, of a kind that its content tells.
        wanted: Members by their exact names.

    Raises:
        SourceError: The archive is damaged, has no such member or one of another length, or holds a name that
            leads out of the folder that it would be extracted to.
        ModelError: A file cannot be written.
    """
    limit = _RATIO * archive.stat().st_size
    staging, found = Staging(), set[str]()
    try:
        for name, size, file in _members(archive, limit):
            _check_name(name, archive)
            if (name := name.removeprefix("./")) not in wanted or file is None or name in found:
                continue
            found.add(name)
            expected = wanted[name].size
            if size > limit or expected not in (None, size):
                raise SourceError(f"{name} in {archive.name} has {size} bytes, not {expected or limit}")
            with staging.target(wanted[name].path).open("wb") as target:
                _copy(file, target, size, f"{name} in {archive.name}")
        if missing := wanted.keys() - found:
            raise SourceError(f"{archive.name} has no member {some(missing)}")
        staging.promote()
    except _DAMAGED as error:
        raise SourceError(f"{archive.name} is damaged, or no archive: {one_line(error)}") from error
    except OSError as error:
        raise ModelError(f"cannot write what {archive.name} holds: {one_line(error)}") from error
    finally:
        staging.discard()


def _members(archive: Path, limit: int) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    """Yield name and length of each member, and its content if it is a regular file."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                with _opened(zipped, info) as file:
                    yield info.filename, info.file_size, file
        return
    with tarfile.open(archive, "r|*") as tar:
        for member in tar:
            if member.offset_data + member.size > limit:
                raise SourceError(f"{archive.name} would unpack to more than {limit} bytes")
            yield member.name, member.size, tar.extractfile(member) if member.isreg() else None


@contextmanager
def _opened(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[IO[bytes] | None]:
    if info.is_dir():
        yield None
    else:
        with zipped.open(info) as file:
            yield file


def _check_name(name: str, archive: Path) -> None:
    """Refuse an archive made to write elsewhere: other members of such a one are no more to be trusted."""
    windows = PureWindowsPath(name)
    if PurePosixPath(name).is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise SourceError(f"{archive.name} holds {name!r}, which leads out of its folder")


def _copy(file: IO[bytes], target: IO[bytes], size: int, where: str) -> None:
    left = size
    while block := file.read(min(_BLOCK, left + 1)):
        left -= len(block)
        if left < 0:
            raise SourceError(f"{where} is longer than {size} bytes")
        target.write(block)
    if left:
        raise SourceError(f"{where} ends after {size - left} of {size} bytes")
