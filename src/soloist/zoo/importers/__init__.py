"""Importers of published code bases: one file each, found by being here.

An importer module defines

- `handles(config) -> bool`: whether a reference vector's configuration is of its code base;
- `from_reference(config, state)`: the callable that reproduces what its authors' code computed;
- `recognize(state) -> ImportedModel | None` (where checkpoints were published): the separator of a
  state dict that it knows by its names and shapes;
- `recognize_in(folder, state)` (where a file beside the weights says what these do not): the same of a
  checkpoint in a folder that has such a file, None elsewhere;
- `recognize_told(state, told)` (where the file of the weights says it): the same of a file that does.

Names inside Soloist are our own; importers translate. What the originals get wrong lives here, or
behind an option that only an importer switches on.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from soloist.errors import ModelError
from soloist.separators import Separator


@dataclass(frozen=True)
class ImportedModel:
    """What a published checkpoint turned out to be.

    Attributes:
        separator: The separator with the checkpoint's weights.
        config: `class_path` and `init_args` that build the same separator again.
        card: What is known about the model (system, licence, quality, citation, ...).
    """

    separator: Separator
    config: dict[str, Any]
    card: dict[str, Any] = field(default_factory=dict)


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Rebuild what a reference vector records: a network, a waveform framework or a transform.

    Args:
        config: The vector's configuration.
        state: Its weights under the original's names; tensors or NumPy arrays.

    Returns:
        A callable on the vector's input that returns its output with the reference's axes.

    Raises:
        ModelError: No importer knows the configuration, or the weights do not fit it.
    """
    for importer in _importers():
        if hasattr(importer, "from_reference") and importer.handles(config):
            return importer.from_reference(config, state)
    raise ModelError(f"no importer knows the system {config.get('system')!r}, class {config.get('class')!r}")


def recognize(
    state: Mapping[str, Tensor], folder: Path | None = None, told: Any = None
) -> ImportedModel | None:
    """The separator that a published state dict belongs to; None where no importer knows it.

    Args:
        state: The weights.
        folder: Where they lie, if they come from a file.
        told: What the file holds besides, in plain values.

    Raises:
        ModelError: An importer knows the names, but not what else is there.
    """
    for importer in _importers():
        found: ImportedModel | None = None
        if folder is not None and hasattr(importer, "recognize_in"):
            found = importer.recognize_in(folder, state)
        if found is None and told is not None and hasattr(importer, "recognize_told"):
            found = importer.recognize_told(state, told)
        if found is None and hasattr(importer, "recognize"):
            found = importer.recognize(state)
        if found is not None:
            return found
    return None


def _importers() -> Iterator[ModuleType]:
    for module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        yield importlib.import_module(module.name)
