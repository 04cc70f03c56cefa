"""Ensembles and chains of models: by a list of names, or by a YAML file.

    models: [htdemucs, {model: mdx_extra, weight: {vocals: 2, drums: 1}}]
    method: average

    steps:
      - {model: htdemucs, stems: {vocals: vocals}, rest: instrumental}
      - {model: my-karaoke-model, takes: vocals, stems: {lead: lead}, rest: backing}

A name may stand for another ensemble or chain. All that can be known from cards is checked here, before
anything is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soloist.config import check_keys, read_yaml
from soloist.errors import ConfigError, UsageError
from soloist.files import expand_home
from soloist.separators.composite_plans import METHODS, MIXTURE, EnsembleMethod
from soloist.zoo.cards import is_known, own_name
from soloist.zoo.compositions import ChainComposition, Composition, EnsembleComposition

_PRESETS = Path(__file__).parent / "chains"
_SUFFIXES = (".yaml", ".yml")
_MODELS, _STEPS = "models", "steps"
_METHOD = re.compile(rf"({'|'.join(METHODS)}):(.+)")


def find_composition(name: str | Path) -> Composition | None:
    """Find the ensemble or chain that a text stands for: names with commas, a YAML file, or a preset.

    Args:
        name: The text. The names of models come before those of presets.

    Returns:
        The composition; None for a model, known or not, and for any other file.

    Raises:
        ConfigError: The file of an ensemble or a chain has wrong keys or values, or contains itself.
    """
    return _find(str(name), within=())


def find_chain(name: str) -> str:
    """Path of a chain by the name of a preset, or by its own.

    Raises:
        UsageError: There is no such preset, and no such file.
    """
    if name in preset_names():
        return str(_PRESETS / f"{name}.yaml")
    if not expand_home(name).is_file():
        raise UsageError(f"there is no chain {name!r}: name a YAML file, or {', '.join(preset_names())}")
    if find_composition(name) is None:
        raise ConfigError(f"{name} is no chain: it has no steps")
    return name


def preset_names() -> list[str]:
    """Names of the chains that are part of Soloist."""
    return sorted(path.stem for path in _PRESETS.glob("*.yaml"))


def _find(text: str, within: tuple[Path, ...]) -> Composition | None:
    path = expand_home(text)
    if is_known(text) or path.is_dir():
        return None
    if path.suffix in _SUFFIXES and path.is_file():
        return _read(path, within)
    if matched := _METHOD.fullmatch(text):
        return _listed(matched[2], within, matched[1])  # type: ignore[arg-type]
    if "," in text and not path.exists():
        return _listed(text, within, "average")
    return _read(_PRESETS / f"{text}.yaml", within) if text in preset_names() else None


def _listed(text: str, within: tuple[Path, ...], method: EnsembleMethod) -> Composition:
    """Ensemble of models that are named with commas between them."""
    names = [name.strip() for name in text.split(",")]
    label = text if method == "average" else f"{method}:{text}"
    if not all(names):
        raise UsageError(f"{text!r} must be names of models with commas between them")
    parts = tuple(_part(name, within, Path()) for name in names)
    joined = "-and-".join(Path(own_name(part)).name if isinstance(part, str) else part.name for part in parts)
    prefix = "" if method == "average" else f"{method}-of-"
    return EnsembleComposition(_as_name(prefix + joined), label, "", parts, (None,) * len(parts), method)


def _read(path: Path, within: tuple[Path, ...]) -> Composition | None:
    if path.resolve() in within:
        raise ConfigError(f"{path} contains itself")
    values, within = read_yaml(path), (*within, path.resolve())
    if _MODELS in values and _STEPS in values:
        raise ConfigError(f"{path} must have either models, as an ensemble, or steps, as a chain")
    if _MODELS in values:
        return _read_ensemble(values, path, within)
    return _read_chain(values, path, within) if _STEPS in values else None


def _read_ensemble(values: dict[str, Any], path: Path, within: tuple[Path, ...]) -> Composition:
    check_keys(values, ("title", _MODELS, "method"), str(path))
    entries = [
        {"model": entry} if isinstance(entry, str) else entry for entry in _entries(values, _MODELS, path)
    ]
    for entry in entries:
        check_keys(entry, ("model", "weight"), f"models of {path}")
        _check_weight(entry.get("weight"), path)
    method = values.get("method", "average")
    if not isinstance(method, str) and not _is_texts(method):
        raise ConfigError(f"{path}: method must be one of {', '.join(METHODS)}, or one for each stem")
    parts = tuple(_model_of(entry, path, within) for entry in entries)
    weights: tuple[Any, ...] = tuple(entry.get("weight") for entry in entries)
    return EnsembleComposition(_as_name(path.stem), path.stem, _title(values, path), parts, weights, method)


def _read_chain(values: dict[str, Any], path: Path, within: tuple[Path, ...]) -> Composition:
    check_keys(values, ("title", _STEPS, "outputs"), str(path))
    entries, steps = _entries(values, _STEPS, path), list[Mapping[str, Any]]()
    for entry in entries:
        check_keys(entry, ("model", "takes", "stems", "rest"), f"steps of {path}")
        stems = entry.get("stems")
        if isinstance(stems, list):
            stems = {str(stem): str(stem) for stem in stems}
        texts = (entry.get("takes", MIXTURE), entry.get("rest", ""))
        if not (stems is None or _is_texts(stems)) or not all(isinstance(text, str) for text in texts):
            raise ConfigError(
                f"{path}: a step has takes: STEM, stems: {{STEM OF THE MODEL: NAME}} and rest: NAME"
            )
        steps.append({"takes": texts[0], "stems": stems, "rest": texts[1]})
    outputs = values.get("outputs")
    if outputs is not None and not (isinstance(outputs, list) and all(isinstance(o, str) for o in outputs)):
        raise ConfigError(f"{path}: outputs must be a list of stems")
    parts = tuple(_model_of(entry, path, within) for entry in entries)
    chosen = None if outputs is None else tuple(outputs)
    return ChainComposition(_as_name(path.stem), path.stem, _title(values, path), parts, tuple(steps), chosen)


def _entries(values: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    entries = values[key]
    kinds = (dict, str) if key == _MODELS else (dict,)
    if not isinstance(entries, list) or not entries or not all(isinstance(each, kinds) for each in entries):
        raise ConfigError(f"{path}: {key} must be a list with a model in each entry")
    return entries


def _model_of(entry: Mapping[str, Any], path: Path, within: tuple[Path, ...]) -> str | Composition:
    if not isinstance(entry.get("model"), str):
        raise ConfigError(f"{path}: each entry needs a model: NAME")
    return _part(entry["model"], within, path.parent)


def _part(name: str, within: tuple[Path, ...], folder: Path) -> str | Composition:
    """A model or a composition; a path is one from the folder of the file that names it, if there is one."""
    beside = folder / name
    if not is_known(name) and beside.exists():
        name = str(beside)
    return _find(name, within) or name


def _check_weight(weight: object, path: Path) -> None:
    values = list(weight.values()) if isinstance(weight, dict) else [0.0 if weight is None else weight]
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        raise ConfigError(f"{path}: weight must be a number, or a number for each stem, not {weight!r}")


def _title(values: Mapping[str, Any], path: Path) -> str:
    title = values.get("title", "")
    if not isinstance(title, str):
        raise ConfigError(f"{path}: title must be a text")
    return title


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair)


def _as_name(text: str) -> str:
    """Name of a model, and of a folder, that is like a text."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("._-")[:100] or "composition"
