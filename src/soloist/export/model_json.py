"""What stands beside an exported file for the program that feeds it: `model.json`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soloist import __version__
from soloist.config import find_class
from soloist.export.export_formats import Format
from soloist.export.selftest import Check
from soloist.files import sha256_of
from soloist.inference.graphs.signature import Port, Signature
from soloist.separators import Separator
from soloist.zoo import Card


def describe(
    separator: Separator,
    config: Mapping[str, Any],
    card: Card,
    form: Format,
    folder: Path,
    signature: Signature,
    check: Check,
    length: int | None,
) -> dict[str, Any]:
    """Everything that is needed to use an export, as plain values.

    Args:
        separator: What was exported.
        config: Its configuration.
        card: What is known about the model.
        form: The format.
        folder: Where the files are.
        signature: Inputs and outputs.
        check: How the file compares with the separator.
        length: Samples of a mixture, where no others will do; None for any.
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
        "minimum_length": check.shortest,
        "chunk_length": separator.chunk_length,
        "stride": separator.stride,
        "receptive_field": separator.receptive_field,
        "licence": asdict(card.licence),
        "citation": card.citation,
        "checked": asdict(check),
        "soloist": __version__,
        "separator": with_defaults(config),
    }


def _ports(ports: Sequence[Port]) -> list[dict[str, Any]]:
    return [{**asdict(port), "type": "float32"} for port in ports]


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in which nothing is left to the defaults of its classes.

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
