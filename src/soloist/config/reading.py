"""Objects from the keys and values of a YAML file, checked against the signature of their class.

jsonargparse checks the types. This module adds one line for each mistake, with the nearest right name, and
calls nothing but the given class. Plain records, such as the cards of all models, are checked without
jsonargparse, whose import takes longer than `soloist models` may take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from soloist.config.plain_records import plain_arguments
from soloist.errors import ConfigError, SoloistError, one_line
from soloist.files import some

if TYPE_CHECKING:
    from jsonargparse import ArgumentError, ArgumentParser, Namespace

T = TypeVar("T")

_KEY = "value"

_LISTED = 20
"""Most names that advice lists."""

# The values come from YAML: jsonargparse must not read a text with a colon in it once more.
_AS_IS = "as-is"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C, seven times as fast, where PyYAML was built with it."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Mapping that a YAML file holds.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or holds something else than a mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {one_line(error)}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path} must hold a mapping of names to values")
    return content


def construct(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Call a class with keyword arguments that came from a file.

    Args:
        cls: The class, whose signature gives the known keys and their types.
        values: Keys and values, with constructed objects as parts.
        where: Name of the values in messages: `"network of hpss/config.yaml"`.

    Raises:
        ConfigError: A key is unknown or missing, or a value is of the wrong type or one that PyTorch refuses.
    """
    plain = plain_arguments(cls, values)
    try:
        if plain is not None:
            return cls(**plain)
        parser, parsed = _parse(cls, values, where)
        made: T = parser.instantiate(parsed)[_KEY]
    except SoloistError:
        raise
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"{where}: {one_line(error)}") from error
    return made


def check_arguments(cls: type[Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check some keyword arguments for a class as `construct` does, for a caller that adds others.

    Args:
        cls: The class.
        values: Keys and values.
        where: Name of the values in messages.

    Returns:
        The values, brought to the types of the signature.

    Raises:
        ConfigError: A key is unknown, or a value is of the wrong type.
    """
    checked = _parse(cls, values, where)[1][_KEY].as_dict()
    return {key: checked[key] for key in values}


def record(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Fill a dataclass from a file, like `construct`, but build no parts: configurations stay as they are.

    Args:
        cls: The dataclass. Attributes that are annotated as `Config` hold parts that name classes.
        values: Keys and values.
        where: Name of the values in messages.

    Raises:
        ConfigError: A key is unknown or missing, or a value is of the wrong type.
    """
    attributes = fields(cls)  # type: ignore[arg-type]
    check_keys(values, [attribute.name for attribute in attributes], where)
    kept = {attribute.name for attribute in attributes if "Config" in str(attribute.type)}
    for attribute in attributes:
        required = attribute.default is MISSING and attribute.default_factory is MISSING
        if required and values.get(attribute.name) is None:
            raise ConfigError(f"{where}: missing {attribute.name}")
        if attribute.name in kept:
            _check_parts(attribute.name, str(attribute.type), values.get(attribute.name), where)
    plain = {key: value for key, value in values.items() if key not in kept}
    parsed = _parse(cls, plain, where, frozenset(kept))[1]
    # A key with nothing after it, such as `test:`, keeps the default.
    parts = {key: values[key] for key in kept & values.keys() if values[key] is not None}
    return cls(**{**parsed[_KEY].as_dict(), **parts})


def _check_parts(name: str, kind: str, value: Any, where: str) -> None:
    """Refuse a value that is no `Config`, `dict[str, Config]` or `list[Config]`, whichever is annotated."""
    several = Sequence if kind.startswith("list[") else Mapping
    if value is None:
        return
    if not isinstance(value, several) or isinstance(value, str):
        said = "a list" if several is Sequence else "names and values"
        raise ConfigError(f"{where}: {name} must be {said}, not {value!r}")
    if "[" in kind:
        parts = value.values() if isinstance(value, Mapping) else value
        if wrong := [part for part in parts if not isinstance(part, Mapping)]:
            raise ConfigError(f"{where}: each of {name} must be names and values, not {wrong[0]!r}")


def check_keys(values: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse a key that is not known, with the nearest one that is.

    Raises:
        ConfigError: A key is not among the known ones.
    """
    known = tuple(known)
    for key in values:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}; {nearest(str(key), known)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Advice after an unknown name: the nearest known one, or the known ones, as many as a line can hold."""
    known = sorted({*known})
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {some(known, _LISTED) or 'none'}"


def _parse(
    cls: type[Any], values: Mapping[str, Any], where: str, skipped: frozenset[str] = frozenset()
) -> tuple[ArgumentParser, Namespace]:
    from jsonargparse import ArgumentError

    parser, keys = _parser(cls, skipped)  # type: ignore[arg-type]
    check_keys(values, keys, where)
    try:
        return parser, parser.parse_object({_KEY: dict(values)})
    except ArgumentError as error:
        raise ConfigError(f"{where}: {_explain(error)}") from error


@cache
def _parser(cls: type[Any], skipped: frozenset[str]) -> tuple[ArgumentParser, tuple[str, ...]]:
    from jsonargparse import ArgumentParser, set_loader

    set_loader(_AS_IS, lambda text: text)
    parser = ArgumentParser(exit_on_error=False, parser_mode=_AS_IS)
    # A parameter without a type hint is accepted as it is: the class checks it.
    added = parser.add_class_arguments(cls, _KEY, fail_untyped=False, skip=set(skipped))
    return parser, tuple(key.removeprefix(f"{_KEY}.") for key in added)


def _explain(error: ArgumentError) -> str:
    """The explanation of jsonargparse without its frame: `sample_rate: Expected a int. Got value: x`."""
    text = one_line(error).replace(f"{_KEY}.", "")
    for frame, rest in _FRAMES:
        text = re.sub(frame, rest, text)
    return text


_FRAMES = (
    (r'^Parser key "([^"]+)":', r"\1:"),
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"the following arguments are required:", "missing"),
    # Of a union all types are listed, and then what was expected for each.
    (r"Does not validate against any of the Union subtypes Subtypes: .* Errors: - ", ""),
    (r" - Expected a ", " or a "),
    (r"\ba typing\.Literal\[", "one of ["),
    (r" or a NoneType\b", " or nothing"),
    (r" Given value type: \w+ Given value: (.*)", r". Got value: \1"),
)
