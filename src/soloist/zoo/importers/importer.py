"""Interface of the importers, and the checkpoint that they read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from soloist.config import configuration_of
from soloist.errors import ModelError, SoloistError
from soloist.separators import Denoiser, Separator, SpectralSeparator, build_separator


@dataclass(frozen=True)
class PublishedCheckpoint:
    """Content of a checkpoint file, or of the files of several sources as one.

    Attributes:
        state: Weights under the names that their authors gave them.
        folder: Folder of the file, in which settings may lie beside it; None for weights without a file.
        metadata: Plain values that the file holds besides its weights; None for weights alone.
        options: Facts from the model's card that the files do not hold; empty for a model without a card.
        records: Names of the classes and functions in the file that were not imported.
    """

    state: Mapping[str, Tensor]
    folder: Path | None = None
    metadata: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    records: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ImportedModel:
    """Separator of a published checkpoint.

    Attributes:
        separator: The separator with the checkpoint's weights.
        config: `class_path` and `init_args` that build the same separator again.
        card: Known facts about the model: system, licence, quality, citation, ...
    """

    separator: Separator
    config: dict[str, Any]
    card: dict[str, Any] = field(default_factory=dict)


class Importer(ABC):
    """Translator of one code base's names, shapes and options into Soloist's.

    A subclass in a module of this package is an importer: no list names it.
    """

    @abstractmethod
    def recognize(self, checkpoint: PublishedCheckpoint) -> ImportedModel | None:
        """Build the separator of a checkpoint; return None if another code base wrote the checkpoint.

        Raises:
            ModelError: The names are those of this code base, but shapes, settings or options are not.
        """


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Load weights under Soloist's names into a module.

    Args:
        module: The module.
        weights: All of its weights, and no others.
        name: Name of the network in error messages.

    Raises:
        ModelError: A weight is missing, left over or of another shape; the message is one line.
    """
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"the weights do not fit {name}: {reason}") from None


def build_spectral(config: Mapping[str, Any], system: str) -> SpectralSeparator:
    """Build the spectral separator of a published configuration, with fresh weights.

    Args:
        config: `class_path` and `init_args` of the separator.
        system: Name of the system in error messages.

    Raises:
        ModelError: The settings do not go together.
    """
    try:
        return cast(SpectralSeparator, build_separator(config, f"settings of {system}"))
    except SoloistError as error:
        raise ModelError(str(error)) from None


def wrap_denoiser(separator: Separator, config: Mapping[str, Any], card: Mapping[str, Any]) -> ImportedModel:
    """Make a separator of speech in one channel a model for recordings of any rate and channel count.

    Args:
        separator: The separator with its weights.
        config: `class_path` and `init_args` of the separator.
        card: Known facts about the model.
    """
    facts = {"task": "denoise", **card}
    return ImportedModel(
        Denoiser(separator).eval(), configuration_of(Denoiser, separator=dict(config)), facts
    )
