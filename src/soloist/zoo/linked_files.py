"""Published files by their addresses: downloaded, imported, and not listed in any card."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from soloist.errors import ModelError, UsageError
from soloist.files import sha256_of
from soloist.urls import is_url
from soloist.zoo.cards import megabytes
from soloist.zoo.downloads import Notice, downloads_folder
from soloist.zoo.http_transfer import Hosts, Progress, transfer
from soloist.zoo.published_checkpoints import import_checkpoint, slug
from soloist.zoo.published_files import OFFLINE, SourceError, is_offline

_PAGE = re.compile(r"(https?://huggingface\.co/[^/]+/[^/]+)/blob/")
"""Page about a file on Hugging Face."""


def import_links(
    places: Sequence[str],
    folder: Path | None = None,
    name: str | None = None,
    *,
    settings: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    notice: Notice | None = None,
) -> Path:
    """Turn a published checkpoint into a model folder, also one at an address.

    Downloads are deleted after the import. Where it fails they stay, so that they can be imported again.

    Args:
        places: Paths and addresses of the files; see `import_checkpoint`.
        folder: Folder to write.
        name: Name of the model.
        settings: Path or address of the file of settings.
        overwrite: Replace an existing model folder.
        progress: Callback with the received bytes of each file.
        notice: Callback with lines that the user should read: the hash of each download.

    Returns:
        The model folder.

    Raises:
        ModelError: As `import_checkpoint` does; or a file cannot be downloaded.
        UsageError: The name cannot name a model, or an address is not of http or https.
    """
    hosts, addresses = Hosts(), dict[Path, str]()

    def local(place: str) -> Path:
        if not is_url(place):
            return Path(place)
        path = _download(place, hosts, progress, notice or (lambda line: None))
        addresses[path] = place
        return path

    chosen = local(settings) if settings is not None else None
    paths = [local(place) for place in places]
    try:
        made = import_checkpoint(
            paths, folder, name, overwrite=overwrite, settings=chosen, addresses=addresses
        )
    except ModelError as error:
        if not addresses:
            raise
        raise ModelError(f"{error}; the download stays at {', '.join(map(str, addresses))}") from error
    for path in addresses:
        shutil.rmtree(path.parent)
    return made


def _download(url: str, hosts: Hosts, progress: Progress | None, notice: Notice) -> Path:
    """Download a file to the downloads folder, unless an earlier import left it there.

    Raises:
        SourceError: Downloads are forbidden, or the server does not give the file.
        UsageError: The address is not of http or https.
    """
    if urlsplit(url).scheme.lower() not in ("http", "https"):
        raise UsageError(f"{url} is no address of http or https")
    url = _PAGE.sub(r"\1/resolve/", url)
    # Many files are called config.yaml: each address has a folder.
    folder = downloads_folder() / hashlib.sha256(url.encode()).hexdigest()[:8]
    path = folder / slug(unquote(urlsplit(url).path).rpartition("/")[2])
    if path.is_file():
        notice(f"{path} is there already, and is taken in place of a download")
    elif is_offline():
        raise SourceError(f"{OFFLINE} (--offline) forbids downloads", url)
    else:
        transfer(url, path, "", None, progress, hosts)
    notice(f"{path.name}: {megabytes(path.stat().st_size)}, sha256 {sha256_of(path)}")
    return path
