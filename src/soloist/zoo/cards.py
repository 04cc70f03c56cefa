"""Cards: what a model is, who made it, under which licence, how good it is, where its file is published."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from soloist.config import check_keys, construct, nearest, read_yaml
from soloist.errors import ConfigError, ModelError, UsageError
from soloist.files import home

CARD = "card.yaml"
CONFIG = "config.yaml"
WEIGHTS = "model.safetensors"

DEFAULT_MODEL = "two-stage-hpss"

_SHIPPED = Path(__file__).parent / "cards"
_TRAINED = Path(__file__).parent / "trained"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Licence:
    """Under which licences the code and the trained weights were published; empty where not stated."""

    code: str = ""
    weights: str = ""


@dataclass(frozen=True)
class Quality:
    """One published or measured figure.

    Attributes:
        dataset: What was separated.
        metric: The measure, with its unit: `"SDR (dB)"`.
        target: The source that was measured, or `"all"`.
        value: The figure.
    """

    dataset: str
    metric: str
    target: str
    value: float


@dataclass(frozen=True)
class PublishedFile:
    """A checkpoint file as its authors published it.

    Attributes:
        filename: Its name, without a folder.
        url: Where it is; empty where there is no address to download it from.
        sha256: Its hash, or what is known of its beginning; empty where nobody could compute it. The first
            download then records it.
        size: Its length in bytes, where known.
        source: The source whose network it holds, where each has a file of its own.
    """

    filename: str
    url: str = ""
    sha256: str = ""
    size: int | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not is_name(self.filename):
            raise ConfigError(f"filename {self.filename!r} must be a plain file name")

    def is_hash(self, digest: str) -> bool:
        """Whether a hash may be this file's, as far as that is known; False where nothing is."""
        return bool(self.sha256) and digest.startswith(self.sha256)


@dataclass(frozen=True)
class Card:
    """What is known about a model; what nobody stated is empty.

    Attributes:
        name: The name it is asked for by.
        system: The published system that it belongs to.
        title: One line that says what it does.
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Rate that it works at, in Hz; None where it works at any.
        channels: Channels that it works on; None where it works on any number.
        parameters: Number of trained parameters.
        licence: Of the code and of the weights.
        training_data: What it was trained on.
        quality: Published and measured figures.
        citation: The paper to cite.
        origin: Where its authors publish it, or which file it was imported from.
        notes: What a user should know before relying on it.
        files: The published checkpoint that it is imported from, in one file or several.
        config: `class_path` and `init_args` of a separator without weights; None where there are weights.
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
    files: tuple[PublishedFile, ...] = ()
    config: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def folder(self) -> Path:
        """Where the model lies once it is on disk; a shipped one is from the beginning."""
        return _TRAINED / self.name if self.shipped else models_folder() / self.name

    @property
    def shipped(self) -> bool:
        """Whether its weights are part of Soloist."""
        return (_TRAINED / self.name / WEIGHTS).is_file()

    @property
    def on_disk(self) -> bool:
        """Whether it can be used as it is: it needs no weights, or they are in its folder."""
        return self.config is not None or (self.folder / WEIGHTS).is_file()

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Card:
        """Build a card from the keys and values of its YAML file.

        Args:
            values: The card's content.
            where: The file, for messages.

        Raises:
            ConfigError: A key is unknown or missing, or a value is of the wrong type.
        """
        values = dict(values)
        if "licence" in values:
            keys = [field.name for field in fields(Licence)]
            check_keys(_mapping(values["licence"], where), keys, f"licence of {where}")
        for key, part in (("quality", Quality), ("files", PublishedFile)):
            entries = values.get(key, [])
            if not isinstance(entries, list):
                raise ConfigError(f"{where}: {key} must be a list")
            values[key] = [construct(part, _mapping(entry, where), f"{key} of {where}") for entry in entries]
        return construct(cls, values, where)

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read a card from its file.

        Raises:
            ConfigError: The file is missing, not YAML, or not a card.
        """
        return cls.parse(read_yaml(path), str(path))

    def to_dict(self) -> dict[str, Any]:
        """The card as `parse` takes it: plain values only, without the keys that say nothing."""
        plain = asdict(self, dict_factory=_stated)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def find(name: str) -> Card:
    """The card of a model by its name: a shipped one, or one in the models folder.

    Raises:
        ModelError: No model has the name.
    """
    shipped = _shipped_cards()
    if name in shipped:
        return shipped[name]
    if is_name(name) and (models_folder() / name / CARD).is_file():
        return _read_installed(models_folder() / name)
    known = [card.name for card in models()]
    raise ModelError(f"no model is named {name!r}; {nearest(name, known)}")


def models() -> list[Card]:
    """The cards that are shipped, then those of other models in the models folder, each by name."""
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


def _read_installed(folder: Path) -> Card:
    """The card of a folder in the models folder, under the folder's name."""
    return replace(Card.read(folder / CARD), name=folder.name)


@cache
def _shipped_cards() -> dict[str, Card]:
    paths = [*_SHIPPED.glob("*.yaml"), *_TRAINED.glob(f"*/{CARD}")]
    cards = [Card.read(path) for path in paths]
    return {card.name: card for card in sorted(cards, key=lambda card: card.name)}


def _stated(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """The attributes that say something; a zero does where it is a figure."""
    return {key: value for key, value in items if key == "value" or value not in (None, "", (), {}, 0)}


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected keys and values, not {value!r}")
    return value
