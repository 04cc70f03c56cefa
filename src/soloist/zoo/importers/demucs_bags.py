"""Bags of Demucs: YAML files that name models, their weights for each source, and the length of a chunk.

    models: ['5a0e1d2c', '7c203f4e']
    weights: [[1., 1., 0., 0.], [1., 0., 1., 1.]]
    segment: 44

Here, as in the authors' version 4.1, the length of a chunk does not concern an HTDemucs with shorter ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soloist.config import configuration_of, read_yaml
from soloist.errors import ModelError, UsageError, one_line
from soloist.separators import CombinedSeparator, build_separator
from soloist.zoo.importers.importer import ImportedModel

BAG_SUFFIXES = (".yaml", ".yml")

_FORMS = ("{}.safetensors", "{}-*.th", "{}.th")
"""Names of a model's file, by its signature."""

Weights = Sequence[Sequence[float]]
"""Weight of each source for each member, `[member][source]`."""


@dataclass(frozen=True)
class Bag:
    """Content of a bag file.

    Attributes:
        models: Signatures of the members.
        weights: Weights; None for ones.
        segment: Seconds of a chunk; None for those of each member.
    """

    models: tuple[str, ...]
    weights: Weights | None = None
    segment: float | None = None

    @classmethod
    def read(cls, path: Path) -> Bag:
        """Read a bag file.

        Raises:
            ModelError: The file is no bag.
        """
        try:
            content = read_yaml(path)
        except UsageError as error:
            raise ModelError(str(error)) from error
        models, weights, segment = (content.get(key) for key in ("models", "weights", "segment"))
        if not isinstance(models, list) or not models or not all(_is_signature(model) for model in models):
            raise ModelError(f"{path} is no bag of Demucs's: models must be a list of names")
        if weights is not None and not _is_matrix(weights, len(models)):
            raise ModelError(f"{path}: weights must be a list of numbers for each of {len(models)} models")
        if segment is not None and (not _is_number(segment) or segment <= 0):
            raise ModelError(f"{path}: segment must be a number of seconds, not {segment!r}")
        return cls(tuple(models), weights, segment)

    def files(self, folder: Path) -> list[Path]:
        """The file of each member in a folder.

        Raises:
            ModelError: A file is missing.
        """
        return [_find(model, folder) for model in self.models]


def combine(
    members: Sequence[ImportedModel], weights: Weights | None = None, segment: float | None = None
) -> ImportedModel:
    """Build the separator of a bag.

    Args:
        members: Members of the bag.
        weights: Weights; None for ones.
        segment: Seconds of a chunk; None for those of each member.

    Raises:
        ModelError: The members do not go together, or the weights do not fit them.
    """
    configs = [_with_segment(member, segment) for member in members]
    given = {} if weights is None else {"weights": [list(map(float, row)) for row in weights]}
    config = configuration_of(CombinedSeparator, members=configs, **given)
    try:
        separator = build_separator(config, "the configuration of the bag")
    except UsageError as error:
        raise ModelError(f"the models of the bag do not go together: {one_line(error)}") from error
    assert isinstance(separator, CombinedSeparator)
    for part, member in zip(separator.parts, members, strict=True):
        part.load_state_dict(member.separator.state_dict())
    stems, systems = ", ".join(separator.sources), sorted({_network(config) for config in configs})
    title = f"{stems.capitalize()}, by {len(members)} networks together ({', '.join(systems)})"
    return ImportedModel(separator, config, {**members[0].card, "title": title})


def _with_segment(member: ImportedModel, segment: float | None) -> dict[str, Any]:
    """Configuration of a member with chunks of so many seconds, if it takes these."""
    config = deepcopy(member.config)
    arguments = config["init_args"]
    if segment is not None:
        length = int(segment * member.separator.sample_rate)
        if not (arguments.get("pad_to_chunk") and length > arguments["chunk_length"]):
            arguments["chunk_length"] = length
    return config


def _network(config: Mapping[str, Any]) -> str:
    return str(config["init_args"]["network"]["class_path"]).rpartition(".")[2]


def _find(model: str, folder: Path) -> Path:
    """The file of a member, by its signature."""
    found = (path for form in _FORMS for path in sorted(folder.glob(form.format(model))))
    if (path := next(found, None)) is None:
        names = " or ".join(form.format(model) for form in _FORMS[:2])
        raise ModelError(f"the bag's model {model} is not beside it: put {names} into {folder}")
    return path


def _is_signature(model: object) -> bool:
    return isinstance(model, str) and model.isalnum()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_matrix(weights: object, rows: int) -> bool:
    return (
        isinstance(weights, list)
        and len(weights) == rows
        and all(isinstance(row, list) and all(map(_is_number, row)) for row in weights)
    )
