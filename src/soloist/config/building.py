"""Objects from their configuration: `class_path` and `init_args`, nested.

A configuration may come with a stranger's weights. It may name classes of Soloist, of modules that the
program has imported already, and of code that the user trusts (`soloist.config.imports`). Other classes are
refused before anything is built.
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

from soloist.config import imports
from soloist.config.class_paths import class_path_of, faces, full_path
from soloist.config.reading import check_keys, construct, nearest
from soloist.errors import ConfigError, one_line

T = TypeVar("T")

_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def build_object(config: Mapping[str, Any], where: str, kind: type[T], **arguments: Any) -> T:
    """Build the object that a configuration describes.

    Args:
        config: `class_path` and `init_args`; parts of the object are such mappings, too.
        where: Owner of the configuration, for messages.
        kind: Required base class.
        **arguments: Arguments that no file can hold, such as the parameters of an optimizer.

    Raises:
        ConfigError: A class is not allowed or does not exist or is not of the kind, a key is unknown or
            missing, or a value is of the wrong type.
    """
    check(config, where)
    cls = find_class(config["class_path"], where)
    if not issubclass(cls, kind):
        raise ConfigError(
            f"{where}: {config['class_path']} is not a {kind.__name__.lower()}: derive it from "
            f"{class_path_of(kind)}"
        )
    return construct(cls, {**_build(config.get("init_args", {}), where), **arguments}, where)


def check(config: Mapping[str, Any], where: str) -> None:
    """Refuse a configuration that names code without permission; imports no code of strangers.

    Raises:
        ConfigError: The configuration names a class outside Soloist whose module neither this program nor the
            user has imported, or names a class elsewhere than under `class_path`.
    """
    if "class_path" not in config:
        raise ConfigError(f"{where}: class_path is missing")
    _check(config, where)


def find_class(class_path: str, where: str) -> type[Any]:
    """Import the class of a class path that `check` allows.

    Raises:
        ConfigError: There is no such class.
    """
    module_name, _, name = full_path(class_path, where).rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"{where}: cannot import {module_name}: {one_line(error)}") from error
    cls = getattr(module, name, None)
    if not inspect.isclass(cls):
        classes = [key for key, _ in inspect.getmembers(module, inspect.isclass)]
        raise ConfigError(f"{where}: {module_name} has no class {name!r}; {nearest(name, classes)}")
    return cls


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
    if not isinstance(class_path, str) or not _CLASS_PATH.fullmatch(class_path):
        raise ConfigError(f"{where}: class_path {class_path!r} is not of the form package.module.Class")
    module = full_path(class_path, where).rpartition(".")[0]
    if not (module.startswith("soloist.") or module in sys.modules or imports.is_imported(module)):
        raise ConfigError(
            f"{where}: class_path {class_path!r} is not Soloist's: if you trust it, give the file or package "
            f"that defines it with --import, or import {module} in your program first"
        )


def _names_code(text: str) -> bool:
    """Return True if jsonargparse could take a text for `module.Class` and import it."""
    if not _DOTTED.fullmatch(text):
        return False
    package = text.partition(".")[0]
    return package in sys.modules or importlib.util.find_spec(package) is not None


def _build(value: Any, where: str) -> Any:
    """Build every part of a value that has a `class_path`, innermost first."""
    if isinstance(value, (list, tuple)):
        return [_build(part, where) for part in value]
    if not isinstance(value, Mapping):
        return value
    if "class_path" not in value:
        return {key: _build(part, where) for key, part in value.items()}
    cls = find_class(value["class_path"], where)
    if not _is_part(cls):
        raise ConfigError(
            f"{where}: {value['class_path']} is neither a part of Soloist nor a torch module: derive it from "
            "one, or give its file with --import"
        )
    arguments = value.get("init_args", {})
    built = {key: _build(part, f"{key} of {where}") for key, part in arguments.items()}
    return construct(cls, built, where)


def _is_part(cls: type[Any]) -> bool:
    """Return True if a class may be called with values from a file.

    Permitted are classes of the user's imports, classes that are or extend one that Soloist exports, and
    modules of PyTorch, but not `subprocess.Popen`, which every program has imported.
    """
    if imports.is_imported(cls.__module__) or issubclass(cls, nn.Module):
        return True
    exported = faces()
    return any(
        base.__name__ in exported.get(".".join(base.__module__.split(".")[:2]), ()) for base in cls.__mro__
    )
