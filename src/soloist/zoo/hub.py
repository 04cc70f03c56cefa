"""Model folders on Hugging Face: fetched by address, and pushed with a README that is made of the card.

    hf://user/model             the newest version
    hf://user/model@revision    a branch, tag or commit

A repository holds the files of a model folder. Loading one runs no code: its weights are safetensors, and
code in it runs only with the user's consent.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from soloist import __version__
from soloist.config import read_yaml
from soloist.errors import ModelError, SoloistError, UsageError, one_line
from soloist.files import scratch_folder
from soloist.folders import whole_folder
from soloist.resources import import_extra
from soloist.zoo.cards import CARD, CONFIG, WEIGHTS, Card, models_folder
from soloist.zoo.package_downloads import download_from_hugging_face
from soloist.zoo.published_files import HUGGING_FACE, OFFLINE, SourceError, is_offline

_ADDRESS = re.compile(r"hf://([\w.-]+)/([\w.-]+)(?:@([\w./-]+))?")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_README = "README.md"

_LICENCES = {
    "MIT": "mit",
    "Apache 2.0": "apache-2.0",
    "CC0": "cc0-1.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
    "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
}
"""Names of licences there, by those in cards."""


def hub_folder(address: str) -> Path:
    """Find the folder of a model on Hugging Face; the first time, it is downloaded into the models folder.

    Args:
        address: `hf://user/model`, or `hf://user/model@revision`.

    Raises:
        UsageError: The address is of another form, or huggingface_hub is not installed.
        ModelError: The repository cannot be had or holds no model folder of Soloist, or downloads are
            forbidden.
    """
    matched = _ADDRESS.fullmatch(address)
    if matched is None:
        raise UsageError(f"{address} must be hf://USER/MODEL, or hf://USER/MODEL@REVISION")
    user, model, revision = matched.groups()
    name = "--".join([user, model, *([revision.replace("/", "-")] if revision else [])])
    folder = models_folder() / name
    if (folder / WEIGHTS).is_file():
        return folder
    if is_offline():
        raise ModelError(f"{address} is not on disk, and {OFFLINE} (--offline) forbids downloads")
    import_extra("huggingface_hub", "hub")
    with whole_folder(folder) as whole, scratch_folder(whole) as scratch:
        for file in _files(whole):
            url = f"{HUGGING_FACE}{user}/{model}/{file}@{revision or 'main'}"
            try:
                download_from_hugging_face(url, scratch, None, None).rename(whole / file)
            except SourceError as error:
                raise ModelError(
                    f"{address} cannot be had as a model folder of Soloist ({file}: {error.reason}); a "
                    "checkpoint is imported by its address: soloist models import "
                    f"https://huggingface.co/{user}/{model}/resolve/..."
                ) from error
        _check(whole, address)
    return folder


def _files(folder: Path) -> Iterator[str]:
    """Names of the files of a model folder, those with code once the configuration is there."""
    yield from (CARD, CONFIG, WEIGHTS)
    for entry in read_yaml(folder / CONFIG).get("imports", []):
        if isinstance(entry, dict) and isinstance(file := entry.get("file"), str):
            if Path(file).name != file:
                raise ModelError(f"the code {file!r} lies outside its model folder")
            yield file


def _check(folder: Path, address: str) -> None:
    try:
        Card.read(folder / CARD)
    except SoloistError as error:
        raise ModelError(f"{address} is no model of Soloist: {error}") from error


def push_folder(folder: Path, repository: str, *, private: bool = False) -> str:
    """Put a model folder into a repository on Hugging Face, which is made if it is not there.

    huggingface_hub finds the user's login by itself.

    Args:
        folder: The model folder.
        repository: `user/model`.
        private: Let nobody else see a new repository.

    Returns:
        Address of the repository's page.

    Raises:
        UsageError: The name is of another form, or huggingface_hub is not installed.
        ModelError: The folder has no weights, uploads are forbidden, or Hugging Face refuses.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(f"{repository} must be USER/MODEL, the name of a repository on Hugging Face")
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder} is no model folder with weights, and there is nothing to push")
    if is_offline():
        raise ModelError(f"{OFFLINE} (--offline) forbids uploads")
    hub = import_extra("huggingface_hub", "hub")
    card = Card.read(folder / CARD)
    with scratch_folder() as scratch:
        for file in _files(folder):
            shutil.copyfile(folder / file, scratch / file)
        (scratch / _README).write_text(readme_of(card, repository), encoding="utf-8")
        api = hub.HfApi(library_name="soloist", library_version=__version__)
        page = _asked(lambda: api.create_repo(repository, private=private, exist_ok=True))
        message = f"{card.name}, by Soloist {__version__}"
        _asked(lambda: api.upload_folder(repo_id=repository, folder_path=scratch, commit_message=message))
    return str(page)


def _asked(call: Callable[[], Any]) -> Any:
    """Result of a request.

    Raises:
        ModelError: Hugging Face refuses it, or cannot be reached.
    """
    try:
        return call()
    except Exception as error:  # The errors of huggingface_hub, and those of the network below it.
        raise ModelError(f"Hugging Face refuses: {one_line(error)}") from error


def readme_of(card: Card, repository: str) -> str:
    """README of a repository, with the facts that Hugging Face reads at its top."""
    head: dict[str, Any] = {
        "library_name": "soloist",
        "pipeline_tag": "audio-to-audio",
        "tags": ["source-separation", "audio", *card.sources],
    }
    stated = card.licence.weights or card.licence.code
    if stated:
        head["license"] = _LICENCES.get(stated.partition(" (")[0], "other")
    address = f"{HUGGING_FACE}{repository}"
    paragraphs = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---",
        f"# {card.name}",
        f"{card.title}. A model of {card.system} for [Soloist](https://pypi.org/project/soloist/).",
        f"```sh\nsoloist separate -m {address} song.mp3\n```",
        f'```python\nimport soloist\n\nstems = soloist.separate("song.mp3", model="{address}")\n```',
        "\n".join(_facts(card)),
        *([_table(card)] if card.quality else []),
        *([card.notes] if card.notes else []),
        *([f"> {card.citation}"] if card.citation else []),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _facts(card: Card) -> Iterator[str]:
    rate = f"{card.sample_rate} Hz, {card.channels} channels" if card.sample_rate else "any rate and channels"
    yield f"- Sources: {', '.join(card.sources)}; {rate}; {card.parameters:,} parameters"
    yield f"- Licence of the weights: {card.licence.weights or 'not stated'}"
    yield f"- Training data: {card.training_data or 'not stated'}"
    if card.origin:
        yield f"- Origin: {card.origin}"


def _table(card: Card) -> str:
    rows = [
        f"| {each.target} | {each.value:g} {each.metric} | {each.dataset} | {each.measured_by or 'authors'} |"
        for each in card.quality
    ]
    return "\n".join(["| stem | figure | data | measured by |", "|---|---|---|---|", *rows])
