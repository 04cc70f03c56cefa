"""Content of `model.json`: everything that a program needs to use an exported file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soloist import __version__
from soloist.config import find_class
from soloist.export.export_formats import ExportFormat
from soloist.export.selftest import SelfTest
from soloist.files import sha256_of
from soloist.inference.graphs.signature import Port, Signature
from soloist.separators import Separator
from soloist.zoo import Card


def describe(
    separator: Separator,
    config: Mapping[str, Any],
    card: Card,
    form: ExportFormat,
    folder: Path,
    signature: Signature,
    test: SelfTest,
    length: int | None,
) -> dict[str, Any]:
    """Describe an export as plain values.

    Args:
        separator: The exported separator.
        config: Configuration of the separator.
        card: Card of the model.
        form: Format.
        folder: Folder of the files.
        signature: Inputs and outputs.
        test: Comparison of the file with the separator.
        length: Number of samples of a mixture; None for any.
    """
    return {
        "name": card.name,
        "title": card.title,
        "format": form.title,
        "files": {name: sha256_of(folder / name) for name in form.files},
        "holds": "separator" if form.whole else "network",
        "inputs": _ports(signature.inputs),
        "outputs": _ports(signature.outputs),
        "sources": list(separator.sources),
        "ordered": separator.ordered,
        "sample_rate": separator.sample_rate,
        "channels": separator.channels,
        "normalization": separator.normalization,
        "length": length,
        "minimum_length": test.shortest,
        "chunk_length": separator.chunk_length,
        "stride": separator.stride,
        "receptive_field": separator.receptive_field,
        "licence": asdict(card.licence),
        "citation": card.citation,
        "checked": asdict(test),
        "soloist": __version__,
        "separator": with_defaults(config),
    }


def _ports(ports: Sequence[Port]) -> list[dict[str, Any]]:
    return [{**asdict(port), "type": "float32"} for port in ports]


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a configuration with the defaults of its classes.

    Args:
        config: `class_path` and `init_args`, nested.
    """
    cls = find_class(config["class_path"], "configuration")
    parameters = inspect.signature(cls).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    arguments = {**defaults, **config.get("init_args", {})}
    parts = {
        name: with_defaults(value) if isinstance(value, Mapping) and "class_path" in value else value
        for name, value in arguments.items()
    }
    return {"class_path": config["class_path"], "init_args": parts}
