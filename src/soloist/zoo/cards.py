"""Cards of models: system, authors, licence, quality, published files."""

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
    """Licences of the code and of the trained weights; empty if not stated."""

    code: str = ""
    weights: str = ""

    @property
    def stated(self) -> str:
        """Licence of the weights, else of the code, else `not stated`."""
        return self.weights or self.code or "not stated"


@dataclass(frozen=True)
class Quality:
    """One published or measured figure.

    Attributes:
        dataset: Test data.
        metric: Measure with its unit: `"SDR (dB)"`.
        target: Measured source, or `"all"`.
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
        filename: Name without a folder.
        url: Address of the download; empty if there is none.
        sha256: Hash, or its first digits; empty if unknown. The first download records an unknown hash.
        size: Length in bytes; None if unknown.
        source: Source whose network the file holds, if each source has a file of its own.
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
        """Return True if a hash agrees with the known digits; False if none are known."""
        return bool(self.sha256) and digest.startswith(self.sha256)


@dataclass(frozen=True)
class Card:
    """Known facts about a model; empty if nobody stated them.

    Attributes:
        name: Name by which users ask for the model.
        system: Published system that the model belongs to.
        title: Purpose, in one line.
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Rate in Hz; None for any.
        channels: Number of channels; None for any.
        parameters: Number of trained parameters.
        licence: Licences of the code and of the weights.
        training_data: Corpora of the training.
        quality: Published and measured figures.
        citation: Paper to cite.
        origin: Page of the authors, or the imported file.
        notes: Limits that a user should know.
        files: Published checkpoint, in one file or several.
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
    files: tuple[PublishedFile, ...] = ()
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

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Card:
        """Build a card from the keys and values of its YAML file.

        Args:
            values: Content of the card.
            where: File, for error messages.

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
        """Card in the plain values that `parse` takes, without empty ones."""
        plain = asdict(self, dict_factory=_stated)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def find(name: str) -> Card:
    """Find the card of a model by name, among the shipped ones and in the models folder.

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
    """Read the card of a folder in the models folder, under the folder's name."""
    return replace(Card.read(folder / CARD), name=folder.name)


@cache
def _shipped_cards() -> dict[str, Card]:
    paths = [*_SHIPPED.glob("*.yaml"), *_TRAINED.glob(f"*/{CARD}")]
    cards = [Card.read(path) for path in paths]
    return {card.name: card for card in sorted(cards, key=lambda card: card.name)}


def _stated(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keep stated attributes; a figure of zero is stated."""
    return {key: value for key, value in items if key == "value" or value not in (None, "", (), {}, 0)}


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected keys and values, not {value!r}")
    return value
