"""Settings of a checkpoint in the YAML of Music-Source-Separation-Training, of audio-separator and of UVR.

The file lies beside the checkpoint. Lists are tagged as Python's tuples in it, which are read as lists;
no other tag of Python is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from soloist.config import check_keys, configuration_of
from soloist.errors import ConfigError, ModelError, one_line
from soloist.separators import Cutting
from soloist.zoo.published_files import SETTINGS

_SECTIONS = ("audio", "training")
_NETWORK_SECTIONS = ("model", "kwargs")
"""Sections of the settings of every network, of which it has one of the latter."""

_FOREIGN = {
    ("model", "num_repeat_mask"): "a band-split network with Mamba layers",
    ("model", "time_conformer_depth"): "a band-split network with conformers",
}
"""Systems that Soloist does not have, by a section and key of their settings."""


class _Loader(yaml.SafeLoader):
    """Safe loader that knows tuples."""


def _listed(loader: _Loader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _listed)


def read_options(path: Path) -> dict[str, Any]:
    """Read the settings of a model, as data.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or holds something else than a mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a mapping of names to values")
    return content


def find_settings(checkpoint: Path) -> Path | None:
    """Find the settings beside a checkpoint: a file of its name, or the only YAML of a network.

    `model.ckpt` has its settings in `model.yaml`, or in `model.ckpt.yaml`.

    Returns:
        The file; None if there is none, or if several could be meant.
    """
    stems = (checkpoint.with_suffix(""), checkpoint)
    for path in (stem.with_name(stem.name + suffix) for stem in stems for suffix in SETTINGS):
        if path.is_file():
            return path
    found = []
    for path in sorted(checkpoint.parent.glob("*.y*ml")):
        try:
            options = read_options(path)
        except ConfigError:
            continue
        if options.keys() >= set(_SECTIONS) and options.keys() & set(_NETWORK_SECTIONS):
            found.append(path)
    return found[0] if len(found) == 1 else None


def foreign_system(options: Mapping[str, Any]) -> str:
    """Name of the system of a network's settings that Soloist does not have; empty for any other."""
    for (part, key), system in _FOREIGN.items():
        if isinstance(found := options.get(part), Mapping) and key in found:
            return system
    return ""


def section(options: Mapping[str, Any], name: str, system: str) -> dict[str, Any]:
    """Section of a model's settings.

    Raises:
        ModelError: There is no such section.
    """
    found = options.get(name)
    if not isinstance(found, Mapping):
        raise ModelError(
            f"the settings of this {system} are missing: put its YAML (with the section {name}) beside the "
            "checkpoint, under the same name, or give it by --config"
        )
    return dict(found)


def check_model_keys(model: Mapping[str, Any], known: Iterable[str], system: str) -> None:
    """Refuse settings of a network that Soloist does not know.

    Raises:
        ModelError: A key is unknown; the message names it.
    """
    try:
        check_keys(dict(model), list(known), f"model settings of {system}")
    except ConfigError as error:
        raise ModelError(str(error)) from None


def instruments(options: Mapping[str, Any], system: str) -> list[str]:
    """Names of the sources that a network estimates: its target, or all instruments.

    Raises:
        ModelError: The settings name none.
    """
    training = section(options, "training", system)
    target = training.get("target_instrument")
    names = [target] if target else training.get("instruments")
    if not isinstance(names, list) or not names:
        raise ModelError(f"the settings of this {system} name no instruments")
    return [str(name) for name in names]


def chunk_length(options: Mapping[str, Any], system: str) -> int | None:
    """Samples of a chunk; None if the settings say nothing."""
    inference = options.get("inference")
    inference = inference if isinstance(inference, Mapping) else {}
    length = inference.get("chunk_size") or section(options, "audio", system).get("chunk_size")
    return int(length) if length else None


def cutting(options: Mapping[str, Any], system: str, padding: int = 0) -> dict[str, Any] | None:
    """Configuration of the cut of recordings into chunks; None if the settings say nothing.

    Args:
        options: The settings.
        system: Name of the system in error messages.
        padding: Zeros that the network's own code adds after a chunk.

    Raises:
        ModelError: The number of overlapping chunks is none.
    """
    inference = options.get("inference")
    overlaps = inference.get("num_overlap") if isinstance(inference, Mapping) else None
    length = chunk_length(options, system) if overlaps is not None else None
    if overlaps is None or length is None:
        return None
    if not isinstance(overlaps, int) or not 1 <= overlaps <= length:
        raise ModelError(f"num_overlap of this {system} must be a number of chunks, not {overlaps!r}")
    return configuration_of(Cutting, length=length, overlaps=overlaps, padding=padding)


def is_normalized(options: Mapping[str, Any]) -> bool:
    """Return True if tracks are brought to zero mean and unit deviation."""
    inference = options.get("inference")
    return isinstance(inference, Mapping) and bool(inference.get("normalize"))
