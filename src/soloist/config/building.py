"""Objects from their configuration: `class_path` and `init_args`, nested.

A configuration comes with somebody else's weights, so it may name nothing but classes of Soloist and
modules of networks that this program has imported already, and it is refused before anything is imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import nn

from soloist.config.reading import check_keys, construct, nearest
from soloist.errors import ConfigError, one_line

T = TypeVar("T")

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def build_object(config: Mapping[str, Any], where: str, kind: type[T], **arguments: Any) -> T:
    """Build the object that a configuration describes.

    Args:
        config: `class_path` and `init_args`; a part of the separator is another such mapping.
        where: What the configuration belongs to, for messages.
        kind: The class that it must be of.
        **arguments: Arguments that no file can hold, such as the parameters of an optimizer.

    Raises:
        ConfigError: A class is not allowed or does not exist or is not of the kind, a key is unknown or
            missing, or a value is of the wrong type.
    """
    check(config, where)
    cls = find_class(config["class_path"], where)
    if not issubclass(cls, kind):
        raise ConfigError(f"{where}: {config['class_path']} is not a {kind.__name__.lower()}")
    return construct(cls, {**_build(config.get("init_args", {}), where), **arguments}, where)


def check(config: Mapping[str, Any], where: str) -> None:
    """Refuse a configuration that names what it may not, without importing anything.

    Raises:
        ConfigError: A class outside Soloist is named whose module this program has not imported, or a
            class is named elsewhere than under `class_path`.
    """
    if "class_path" not in config:
        raise ConfigError(f"{where}: class_path is missing")
    _check(config, where)


def _check(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        if "class_path" in value:
            check_keys(value, ("class_path", "init_args"), where)
            _check_class_path(value["class_path"], where)
            if not isinstance(value.get("init_args", {}), Mapping):
                raise ConfigError(f"{where}: init_args must be names and values")
        for key, part in value.items():
            if key != "class_path":
                _check(part, where)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _check(part, where)
    elif isinstance(value, str) and _names_code(value):
        raise ConfigError(f"{where}: {value!r} names code; a class is named under class_path only")


def _check_class_path(class_path: Any, where: str) -> None:
    if not isinstance(class_path, str) or not _DOTTED.fullmatch(class_path):
        raise ConfigError(f"{where}: class_path {class_path!r} is not of the form package.module.Class")
    module = class_path.rpartition(".")[0]
    ours = class_path.startswith("soloist.") and "._" not in class_path
    if not ours and module not in sys.modules:
        raise ConfigError(
            f"{where}: class_path {class_path!r} is not Soloist's; "
            f"import {module} in your program first if you trust it"
        )


def _names_code(text: str) -> bool:
    """Whether jsonargparse could take a text for a class and import it: `module.Class`, and there is one."""
    if not _DOTTED.fullmatch(text):
        return False
    package = text.partition(".")[0]
    return package in sys.modules or importlib.util.find_spec(package) is not None


def _build(value: Any, where: str) -> Any:
    """The value with every mapping that has a `class_path` replaced by its object, innermost first."""
    if isinstance(value, (list, tuple)):
        return [_build(part, where) for part in value]
    if not isinstance(value, Mapping):
        return value
    if "class_path" not in value:
        return {key: _build(part, where) for key, part in value.items()}
    cls = find_class(value["class_path"], where)
    if not issubclass(cls, nn.Module) and not value["class_path"].startswith("soloist."):
        raise ConfigError(f"{where}: {value['class_path']} is not a torch module")
    arguments = value.get("init_args", {})
    built = {key: _build(part, f"{key} of {where}") for key, part in arguments.items()}
    return construct(cls, built, where)


def find_class(class_path: str, where: str) -> type[Any]:
    """The class of a `class_path` that `check` allows, imported.

    Raises:
        ConfigError: There is no such class.
    """
    module_name, _, name = class_path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{where}: cannot import {module_name}: {one_line(error)}") from error
    cls = getattr(module, name, None)
    if not inspect.isclass(cls):
        classes = [key for key, _ in inspect.getmembers(module, inspect.isclass)]
        raise ConfigError(f"{where}: {module_name} has no class {name!r}; {nearest(name, classes)}")
    return cls
