"""Values of a recipe from the command line: `--data.root PATH`."""

from __future__ import annotations

import inspect
from typing import Any

import yaml

from soloist.config.building import check, find_class
from soloist.config.reading import nearest
from soloist.errors import ConfigError, one_line

Config = dict[str, Any]
"""Part of a recipe: `class_path` and `init_args`, or plain names and values."""

_CLASS_KEYS = ("class_path", "init_args")


def override(values: Config, dotted: str, text: str) -> None:
    """Set the value of a dotted key from a text.

    Args:
        values: The recipe, as in its file.
        dotted: The key, `data.root`; `init_args` may be left out: `separator.network.num_blocks`.
        text: The value, as YAML.

    Raises:
        ConfigError: The value is not YAML, or the key leads through a value without keys.
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--{dotted}: {text!r} is not YAML: {one_line(error)}") from error
    put(values, dotted, value)


def put(values: Config, dotted: str, value: Any) -> None:
    """Set the value of a dotted key, as `override` does with a text.

    Arguments of a replaced class stay if the new class has them, too.

    Raises:
        ConfigError: The key leads through a value without keys.
    """
    *way, last = dotted.split(".")
    place = values
    for key in way:
        place = _enter(place, key, dotted)
        if place.get(key) is None:
            place[key] = {}
        place = place[key]
    place = _enter(place, last, dotted)
    place[last] = value
    if last == "class_path":
        _leave_out_unknown(place)


def check_key(values: Config, dotted: str) -> None:
    """Refuse a key of an argument that its class does not have.

    Args:
        values: The recipe, with a value of the key.
        dotted: The key; see `override`.

    Raises:
        ConfigError: There is no such argument, or no such class.
    """
    place = values
    for key in dotted.split("."):
        if "class_path" in place and key not in _CLASS_KEYS:
            _check_argument(place, key, f"--{dotted}")
        place = _enter(place, key, dotted)[key]


def _enter(place: Any, key: str, dotted: str) -> Config:
    """Find the mapping of a key: a part of the recipe, or the arguments of its class."""
    if not isinstance(place, dict):
        raise ConfigError(f"--{dotted}: there is nothing below {place!r}")
    if "class_path" not in place or key in _CLASS_KEYS:
        return place
    arguments: Config = place.setdefault("init_args", {})
    return arguments


def _leave_out_unknown(part: Config) -> None:
    try:
        known = _known_arguments(part, "")
    except ConfigError:
        return  # An unknown class, which the check of the recipe refuses.
    stated = part.get("init_args")
    if known is not None and isinstance(stated, dict):
        part["init_args"] = {key: value for key, value in stated.items() if key in known}


def _check_argument(part: Config, key: str, where: str) -> None:
    known = _known_arguments(part, where)
    if known is not None and key not in known:
        name = part["class_path"].rpartition(".")[2]
        raise ConfigError(f"{where}: {name} has no {key!r}; {nearest(key, known)}")


def _known_arguments(part: Config, where: str) -> list[str] | None:
    """Names of the arguments of a part's class; None if the class takes any."""
    check({"class_path": part["class_path"]}, where)
    parameters = inspect.signature(find_class(part["class_path"], where)).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return None if open_ended else list(parameters)
