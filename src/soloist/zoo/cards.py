"""Cards of models: system, authors, licence, quality, published files."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from soloist.config import check_keys, construct, nearest, read_yaml
from soloist.errors import ConfigError, ModelError
from soloist.files import home
from soloist.zoo.published_files import FileSource, PublishedFile, check_name, is_name

CARD = "card.yaml"
CONFIG = "config.yaml"
WEIGHTS = "model.safetensors"

FALLBACK_MODEL = "two-stage-hpss"
"""Model that separates songs where no model with weights is on disk, nor can be had."""

TASKS = {
    "stems": "songs into stems",
    "vocals": "vocals from songs",
    "instrumental": "songs without vocals",
    "karaoke": "lead and backing vocals",
    "drums": "drums into pieces",
    "dereverb": "sounds from reverb",
    "crowd": "songs from the crowd",
    "film": "films into parts",
    "other": "other parts of songs",
    "talkers": "talkers from one another",
    "denoise": "sounds from noise",
    "sounds": "any sounds, by rules",
}
"""Purposes of models, in the order in which they are listed."""

T = TypeVar("T")

_NOT_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial|not for commercial", re.IGNORECASE)

_WEIGHT = 4
"""Bytes of a trained parameter."""

_SHIPPED = Path(__file__).parent / "cards"
_TRAINED = Path(__file__).parent / "trained"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Licence:
    """Licences of the code and of the trained weights; empty if not stated."""

    code: str = ""
    weights: str = ""

    @property
    def stated(self) -> str:
        """Licence of the weights, else of the code, else `not stated`."""
        return self.weights or self.code or "not stated"

    @property
    def forbids_commercial_use(self) -> bool:
        """True if the stated licence does not allow commercial use, such as CC BY-NC."""
        return _NOT_COMMERCIAL.search(self.stated) is not None


@dataclass(frozen=True)
class Quality:
    """One published or measured figure.

    Attributes:
        dataset: Test data.
        metric: Measure with its unit: `"SDR (dB)"`.
        target: Measured source, or `"all"`.
        value: The figure.
        measured_by: People who measured it; empty for the authors of the model.
        trained_on_test: True if the model was trained on the test data, so that the figure says nothing about
            other recordings; None if nobody said.
        source: Document that states the figure; empty for the page of the authors.
    """

    dataset: str
    metric: str
    target: str
    value: float
    measured_by: str = ""
    trained_on_test: bool | None = False
    source: str = ""


@dataclass(frozen=True)
class Card:
    """Known facts about a model; empty if nobody stated them.

    Attributes:
        name: Name by which users ask for the model.
        system: Published system that the model belongs to.
        title: Purpose, in one line.
        sources: Names of the sources, in the order of the estimates; empty if only a file of settings, which
            is not read yet, states them.
        sample_rate: Rate in Hz; None for any.
        channels: Number of channels; None for any.
        parameters: Number of trained parameters.
        licence: Licences of the code and of the weights.
        training_data: Corpora of the training.
        quality: Published and measured figures.
        citation: Paper to cite.
        origin: Page of the authors, or the imported file.
        notes: Limits that a user should know.
        task: Purpose, one of `TASKS`; empty if nobody stated it.
        aliases: Other names of the model, as in other programs.
        default_rank: Place in the order in which models on disk are the default for their task, the least
            first; None for never.
        operations: Floating-point operations for a second of audio, 10^9; None if not counted.
        files: Published checkpoint, in one file or several.
        options: Facts for the importer that the files do not hold.
        config: `class_path` and `init_args` of a separator without weights; None for a model with weights.
    """

    name: str
    system: str
    title: str
    sources: tuple[str, ...]
    sample_rate: int | None = None
    channels: int | None = None
    parameters: int = 0
    licence: Licence = Licence()
    training_data: str = ""
    quality: tuple[Quality, ...] = ()
    citation: str = ""
    origin: str = ""
    notes: str = ""
    task: str = ""
    aliases: tuple[str, ...] = ()
    default_rank: int | None = None
    operations: float | None = None
    files: tuple[PublishedFile, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def folder(self) -> Path:
        """Folder of the model on disk, also before a download."""
        return _TRAINED / self.name if self.shipped else models_folder() / self.name

    @property
    def shipped(self) -> bool:
        """True if the weights are part of Soloist."""
        return (_TRAINED / self.name / WEIGHTS).is_file()

    @property
    def on_disk(self) -> bool:
        """True if the model needs no weights, or has them in its folder."""
        return self.config is not None or (self.folder / WEIGHTS).is_file()

    @property
    def weights(self) -> tuple[PublishedFile, ...]:
        """Published files with weights, without those of settings."""
        return tuple(file for file in self.files if not file.is_settings)

    @property
    def size(self) -> int:
        """Bytes of a download from the first source of each file; of the weights where a size is unknown."""
        sizes = {file.places[0].place: file.size_at(file.places[0]) for file in self.weights if file.places}
        known = [size for size in sizes.values() if size is not None]
        return sum(known) if known and len(known) == len(sizes) else _WEIGHT * self.parameters

    @property
    def about(self) -> str:
        """Name, bytes of the download and licence of the weights, for the line before a download."""
        size = megabytes(self.size) if self.size else "size unknown"
        return f"{self.name} ({size}, licence: {self.licence.stated})"

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Card:
        """Build a card from the keys and values of its YAML file.

        Args:
            values: Content of the card.
            where: File, for error messages.

        Raises:
            ConfigError: A key is unknown or missing, or a value is of the wrong type.
        """
        stated: dict[str, Any] = deepcopy({**values})
        if "licence" in stated:
            keys = [attribute.name for attribute in fields(Licence)]
            check_keys(_mapping(stated["licence"], where), keys, f"licence of {where}")
        for entry in _entries(stated.get("files", []), "files", where):
            if "sources" in entry:
                entry["sources"] = _parts(FileSource, entry["sources"], "sources", f"files of {where}")
        for key, part in (("quality", Quality), ("files", PublishedFile)):
            stated[key] = _parts(part, stated.get(key, []), key, where)
        return construct(cls, stated, where)

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read a card from its file.

        Raises:
            ConfigError: The file is missing, not YAML, or not a card.
        """
        return cls.parse(read_yaml(path), str(path))

    def to_dict(self) -> dict[str, Any]:
        """Card in the plain values that `parse` takes, without empty ones."""
        return asdict(self, dict_factory=_stated)


def find(name: str) -> Card:
    """Find the card of a model by name, among the shipped ones and in the models folder; else by an alias.

    Raises:
        ModelError: No model has the name.
    """
    if (card := _find(name)) is not None:
        return card
    raise ModelError(f"no model is named {name!r}; {nearest(name, list(_by_names()))}")


def _find(name: str) -> Card | None:
    if (card := _shipped_card(name)) is not None:
        return card
    if is_name(name) and (models_folder() / name / CARD).is_file():
        return _read_installed(models_folder() / name)
    # No alias begins so, which tells most paths of models from names without reading any card.
    is_path = os.path.isabs(name) or name.startswith((".", "~"))
    return None if is_path else _by_names().get(name.casefold())


def _by_names() -> dict[str, Card]:
    """Cards of all models by their names and aliases, in small letters."""
    return {each.casefold(): card for card in reversed(models()) for each in (card.name, *card.aliases)}


def megabytes(size: float) -> str:
    """Size of a file in bytes, for the user."""
    return f"{size / 1e6:.0f} MB" if size >= 10e6 else f"{size / 1e6:.1f} MB"


def is_known(name: str) -> bool:
    """Return True if a model has the name, or the alias."""
    return _find(name) is not None


def is_shipped(name: str) -> bool:
    """Return True if Soloist knows the model without the models folder."""
    return _shipped_card(name) is not None


def own_name(name: str) -> str:
    """Name of the model for which a name or an alias stands; any other text as it is."""
    card = _find(name)
    return name if card is None else card.name


def models() -> list[Card]:
    """List the shipped cards, then those in the models folder, each group by name."""
    shipped = _shipped_cards()
    installed = []
    for path in sorted(models_folder().glob(f"*/{CARD}")):
        if path.parent.name in shipped or not is_name(path.parent.name):
            continue
        try:
            installed.append(_read_installed(path.parent))
        except ConfigError as error:
            _log.warning("left out of the list: %s", error)
    return [*shipped.values(), *installed]


def models_folder() -> Path:
    """Folder in which each model has a folder of its own name."""
    return home() / "models"


def _read_installed(folder: Path) -> Card:
    """Read the card of a folder in the models folder, under the folder's name."""
    return replace(Card.read(folder / CARD), name=folder.name)


@cache
def _shipped_card(name: str) -> Card | None:
    """Card of a name, without reading those of other models."""
    if not is_name(name):
        return None
    paths = [path for path in (_SHIPPED / f"{name}.yaml", _TRAINED / name / CARD) if path.is_file()]
    # Some file systems find a name in small letters, too.
    return next((card for card in map(Card.read, paths) if card.name == name), None)


@cache
def _shipped_cards() -> dict[str, Card]:
    paths = [*_SHIPPED.glob("*.yaml"), *_TRAINED.glob(f"*/{CARD}")]
    cards = [Card.read(path) for path in paths]
    return {card.name: card for card in sorted(cards, key=lambda card: card.name)}


def _stated(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keep stated attributes, with lists for tuples; a figure of zero is stated, and an unknown training."""
    stated = {key: value for key, value in items if _is_stated(key, value)}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in stated.items()}


def _is_stated(key: str, value: Any) -> bool:
    if key == "trained_on_test":
        return value is not False
    return key == "value" or value not in (None, "", (), {}, 0)


def _parts(part: type[T], entries: object, key: str, where: str) -> list[T]:
    """Build the parts of a card that are listed under a key."""
    return [construct(part, entry, f"{key} of {where}") for entry in _entries(entries, key, where)]


def _entries(entries: object, key: str, where: str) -> list[dict[str, Any]]:
    if not isinstance(entries, (list, tuple)):
        raise ConfigError(f"{where}: {key} must be a list")
    return [_mapping(entry, where) for entry in entries]


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected keys and values, not {value!r}")
    return value
