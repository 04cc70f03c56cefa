"""Model folders: weights as safetensors, configuration and card as YAML, and code of others if needed.

A folder appears under its name only when it is complete. The code in it is a copy of the files that were
imported when the model was made, and runs only with the user's consent.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_bytes
from safetensors.torch import save_file
from torch import Tensor

from soloist.config import ImportedCode, check, find_class, read_yaml, with_full_paths
from soloist.config.imports import code_of, import_kept, keep_code
from soloist.errors import ConfigError, ModelError, UsageError, one_line
from soloist.files import is_utf8, some
from soloist.folders import check_free, whole_folder
from soloist.networks.layers.initialization import without_initialization
from soloist.separators import Separator, build_separator
from soloist.zoo.cards import CARD, CONFIG, WEIGHTS, Card, find
from soloist.zoo.composition_files import find_composition
from soloist.zoo.composition_loading import composition_config, load_composition
from soloist.zoo.model_paths import as_folder, card_at

_IMPORTS = "imports"

_READ_AT_ONCE = 2**26
"""Bytes of weights, about, that are read before the file is closed and opened again."""


def load(name_or_path: str | Path, *, trust: bool = False, **overrides: Any) -> Separator:
    """Load a separator, in eval mode.

    Args:
        name_or_path: Name of a model, or folder of a model or of its training; or an ensemble or a chain:
            names with commas between them, or a YAML file (see `docs/ensembles.md`); or `hf://user/model`, a
            model folder on Hugging Face, which is downloaded the first time.
        trust: Run the code in the model folder, if any, without asking; see `soloist.config.imports`.
        **overrides: Arguments that replace those of the configuration (`sample_rate=8000`); only for a
            separator without weights, or whose weights serve any rate.

    Raises:
        ModelError: The model is unknown or not on disk, or its weights are damaged or do not fit it.
        ConfigError: The configuration is not valid, or an override is not an argument of the separator.
        UsageError: An override was given for a model with weights, or the code is not trusted.
    """
    if (composition := find_composition(name_or_path)) is not None:
        return load_composition(composition, partial(load, trust=trust), overrides)
    if (folder := as_folder(name_or_path)) is None:
        card = find(str(name_or_path))
        if card.config is not None:
            init_args = {**card.config.get("init_args", {}), **overrides}
            return build_separator({**card.config, "init_args": init_args}, card.name)
        if not card.on_disk:
            raise ModelError(f"{card.name} is not on disk: soloist models download {card.name}")
        folder = card.folder
    return _load_folder(folder, trust=trust, overrides=overrides)


def save_model(
    separator: Separator,
    config: Mapping[str, Any],
    card: Mapping[str, Any],
    folder: Path,
    *,
    overwrite: bool = False,
    half: bool = False,
) -> Path:
    """Write a model folder, whole or not at all.

    Args:
        separator: Separator with the weights; sources, rate, channels and parameters complete the card.
        config: `class_path` and `init_args` that build the same separator again.
        card: Known facts about the model, by the names of `Card`'s attributes.
        folder: Folder to write, whose name is the model's name unless the card has one.
        overwrite: Replace an existing model folder.
        half: Store the weights in half precision, in half the space; `load` gives single precision.

    Returns:
        The folder.

    Raises:
        ModelError: `folder` exists or cannot be written, or a weight is too large for half precision.
        ConfigError: The configuration or the card is not valid.
    """
    folder = Path(folder)
    where = f"configuration of {folder.name}"
    check(config, where)
    config = with_full_paths(config, where)
    code = code_of(config)
    full_card = Card.parse({**_facts(separator, folder), **card}, f"card of {folder.name}")
    _check_free(folder, overwrite=overwrite)
    try:
        with whole_folder(folder) as whole:
            _write_yaml(whole / CONFIG, {**_entries(code), **config})
            keep_code(code, whole)
            _write_yaml(whole / CARD, full_card.to_dict())
            _write_weights(whole / WEIGHTS, separator, half=half, name=folder.name)
            # safetensors gives the file to its owner alone; others may read it like the rest.
            (whole / WEIGHTS).chmod((whole / CARD).stat().st_mode)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot write the model folder {folder}: {one_line(error)}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{folder.name}: only plain values can be saved: {one_line(error)}") from error
    return folder


def copy_model(
    source: Path, folder: Path, name: str | None = None, *, overwrite: bool = False, half: bool = False
) -> Path:
    """Copy a model folder, such as a training leaves, to another place.

    Args:
        source: Model folder.
        folder: Folder to write; see `save_model`.
        name: Name in the card of the copy; if None, the folder's.
        overwrite: Replace an existing model folder.
        half: Store the weights in half precision.

    Returns:
        The folder.

    Raises:
        ModelError: The source is no model folder or is damaged, or the copy cannot be written.
        ConfigError: The configuration or the card of the source is not valid.
    """
    separator, config = _load_folder(source), read_config(source)
    card = Card.read(source / CARD).to_dict() | {"name": name or folder.name}
    return save_model(separator, config, card, folder, overwrite=overwrite, half=half)


def card_of(name_or_path: str | Path) -> Card:
    """Read the card of a model by its name or its folder; make one for an ensemble or a chain.

    Raises:
        ModelError: The model is unknown, or the folder has no card.
        ConfigError: The folder's card is not valid.
        UsageError: The models of an ensemble or a chain do not go together.
    """
    composition = find_composition(name_or_path)
    return card_at(name_or_path) if composition is None else composition.card


def config_of(name_or_path: str | Path) -> dict[str, Any]:
    """Read the configuration of a model by its name or its folder: `class_path` and `init_args`.

    Raises:
        ModelError: The model is unknown or not on disk.
        ConfigError: The configuration is not valid.
    """
    if (composition := find_composition(name_or_path)) is not None:
        return composition_config(composition, config_of)
    if (folder := as_folder(name_or_path)) is None:
        card = find(str(name_or_path))
        if card.config is not None:
            return card.config
        folder = card.folder
    return read_config(folder)


def files_of(name_or_path: str | Path) -> dict[Path, os.stat_result]:
    """Find the files of a model on disk with their sizes and times; empty for a model without weights.

    Those of an ensemble or a chain are its own file and those of its models.

    Raises:
        ModelError: The model is unknown.
    """
    if (composition := find_composition(name_or_path)) is not None:
        own = [path for path in [Path(name_or_path)] if path.is_file()]
        found = {path: path.stat() for path in own}
        for leaf in composition.leaves:
            found |= files_of(leaf)
        return found
    folder = as_folder(name_or_path) or find(str(name_or_path)).folder
    paths = [folder / name for name in (CARD, CONFIG, WEIGHTS)]
    return {path: path.stat() for path in paths if path.is_file()}


def resolve_path(name: str) -> Path | None:
    """Find the folder of a model; return None if the model is not on disk, or needs no weights.

    Raises:
        ModelError: No model has the name.
    """
    card = find(name)
    return card.folder if (card.folder / WEIGHTS).is_file() else None


def remove(name: str) -> Path:
    """Delete a model's folder from the models folder.

    Returns:
        The deleted folder.

    Raises:
        ModelError: The model is unknown, shipped or has no folder, or the folder holds other files as well.
    """
    if find(name).shipped:
        raise ModelError(f"{name} is part of Soloist, and stays")
    folder = resolve_path(name)
    if folder is None:
        raise ModelError(f"{name} has no folder on disk, so there is nothing to remove")
    _check_free(folder, overwrite=True)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise ModelError(f"cannot remove {folder}: {one_line(error)}") from error
    return folder


def read_config(folder: Path, *, trust: bool = False) -> dict[str, Any]:
    """Read the configuration of a model folder, and import its code.

    Args:
        folder: The model folder.
        trust: Import the code without asking.

    Raises:
        ConfigError: The configuration is not valid, or the code is missing or was changed.
        UsageError: The code is not trusted.
    """
    config = read_yaml(folder / CONFIG)
    entries = config.pop(_IMPORTS, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{folder / CONFIG}: {_IMPORTS} must be a list of files and modules")
    import_kept(entries, folder, trust=trust)
    return config


def _entries(code: Sequence[ImportedCode]) -> dict[str, Any]:
    return {_IMPORTS: [each.to_dict() for each in code]} if code else {}


def _load_folder(
    folder: Path, *, trust: bool = False, overrides: Mapping[str, Any] | None = None
) -> Separator:
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ModelError(f"{folder} is not a model folder: {name} is missing")
    config = read_config(folder, trust=trust)
    if overrides:
        if not find_class(config["class_path"], str(folder / CONFIG)).any_rate:
            raise UsageError(
                f"{folder} has weights for one configuration: {', '.join(overrides)} cannot be changed"
            )
        config = {**config, "init_args": {**config.get("init_args", {}), **overrides}}
    with without_initialization():
        separator = build_separator(config, str(folder / CONFIG))
    weights = folder / WEIGHTS
    try:
        _load_weights(separator, weights)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{weights} is damaged: {one_line(error)}") from error
    return separator


def _load_weights(separator: Separator, path: Path) -> None:
    """Load the weights of a file into a separator, whose memory they do not take twice.

    Raises:
        ModelError: They are not exactly those of the separator.
        OSError: The file cannot be read.
        SafetensorError: It is damaged.
    """
    if not is_utf8(path):
        state = load_bytes(path.read_bytes())
        check_state(separator, state, str(path))
        separator.load_state_dict(state)
        return
    with safe_open(path, "pt") as file:
        keys = list(file.keys())
        shapes = {key: torch.empty(file.get_slice(key).get_shape(), device="meta") for key in keys}
    check_state(separator, shapes, str(path))
    size = sum(value.nbytes for value in separator.state_dict().values())
    times = 1 + size // _READ_AT_ONCE
    for first in range(times):
        # What was read of a file stays in memory until the file is closed.
        with safe_open(path, "pt") as file:
            part = {key: file.get_tensor(key) for key in keys[first::times]}
            separator.load_state_dict(part, strict=False)
            del part


def check_state(separator: Separator, state: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights that are not exactly those of a separator.

    Raises:
        ModelError: Tensors are missing, left over or of another shape; the message names some.
    """
    expected = separator.state_dict()
    missing, extra = expected.keys() - state.keys(), state.keys() - expected.keys()
    shapes = [key for key in expected.keys() & state.keys() if expected[key].shape != state[key].shape]
    problems = [("missing", missing), ("unexpected", extra), ("of another shape", shapes)]
    if found := [f"{problem}: {some(names)}" for problem, names in problems if names]:
        raise ModelError(f"{where} does not fit {type(separator).__name__} ({'; '.join(found)})")


def _write_weights(path: Path, separator: Separator, *, half: bool, name: str) -> None:
    # Cloned, because safetensors refuses tensors that share memory (tied weights).
    state = {key: value.detach().cpu().clone() for key, value in separator.state_dict().items()}
    state = _halved(state, name) if half else state
    save_file({key: value.contiguous() for key, value in state.items()}, path)


def _halved(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    halved = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    if large := [key for key, value in halved.items() if not value.isfinite().all()]:
        raise ModelError(f"{name}: half precision cannot hold {some(large)}")
    return halved


def _facts(separator: Separator, folder: Path) -> dict[str, Any]:
    return {
        "name": folder.name,
        "system": type(separator).__name__,
        "title": f"{type(separator).__name__} for {', '.join(separator.sources)}",
        "sources": list(separator.sources),
        "sample_rate": None if separator.any_rate else separator.sample_rate,
        "channels": None if separator.any_rate else separator.channels,
        "parameters": sum(parameter.numel() for parameter in separator.parameters()),
    }


def _check_free(folder: Path, *, overwrite: bool) -> None:
    """Refuse to replace or delete a folder that holds more than a model."""
    files = (CARD, CONFIG, WEIGHTS, *_code_files(folder))
    check_free(folder, "a model", files, overwrite=overwrite, signs=(CONFIG, WEIGHTS))


def _code_files(folder: Path) -> list[str]:
    """Names of the files with code of the model in a folder."""
    if not (folder / CONFIG).is_file():
        return []
    try:
        entries = read_yaml(folder / CONFIG).get(_IMPORTS, [])
    except ConfigError:
        return []
    return [str(entry["file"]) for entry in entries if isinstance(entry, dict) and "file" in entry]


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=100)
    path.write_text(text, encoding="utf-8")
