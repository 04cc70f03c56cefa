"""Importers of published checkpoints, one file a code base.

Each module that defines an `Importer` takes part in `recognize`: a new code base is one new file. Defects of
an original live in its importer, or behind an option that only the importer switches on.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from soloist.zoo.importers.importer import ImportedModel, Importer, PublishedCheckpoint, load_weights

__all__ = ["ImportedModel", "Importer", "PublishedCheckpoint", "importers", "load_weights", "recognize"]


def recognize(
    state: Mapping[str, Tensor],
    folder: Path | None = None,
    metadata: Any = None,
    options: Mapping[str, Any] | None = None,
) -> ImportedModel | None:
    """Build the separator of a published state dict; return None if no importer knows the names.

    Args:
        state: Weights under the names of their authors.
        folder: Folder of the checkpoint file; None for weights without a file.
        metadata: Plain values that the file holds besides its weights; None for weights alone.
        options: Facts from the model's card that the files do not hold.

    Raises:
        ModelError: An importer knows the names, but not the shapes, settings or options.
    """
    checkpoint = PublishedCheckpoint(state, folder, metadata, options or {})
    for importer in importers():
        if (found := importer.recognize(checkpoint)) is not None:
            return found
    return None


@cache
def importers() -> tuple[Importer, ...]:
    """Find the importers of all modules of this package, in the alphabetical order of the modules."""
    names = (f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__))
    found = [value for name in names for value in vars(importlib.import_module(name)).values()]
    classes = [value for value in found if isinstance(value, type) and issubclass(value, Importer)]
    return tuple(cls() for cls in dict.fromkeys(classes) if cls is not Importer)
