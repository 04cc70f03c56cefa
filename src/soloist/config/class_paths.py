"""Class paths: the names under which configurations refer to classes.

A class path is a name that a package of Soloist exports (`soloist.networks.UNet`), the last part of one
(`UNet`), or `module.Class` of a module outside Soloist. Paths of earlier versions are aliases.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

import soloist
from soloist.config.imports import imported_classes
from soloist.errors import ConfigError

_ALIASES = Path(__file__).with_name("aliases.yaml")


@cache
def faces() -> Mapping[str, frozenset[str]]:
    """Exported names of each package of Soloist: `{"soloist.networks": {"UNet", ...}, ...}`."""
    packages = [module.name for module in pkgutil.iter_modules(soloist.__path__, "soloist.") if module.ispkg]
    exported = {package: getattr(import_module(package), "__all__", ()) for package in packages}
    return {package: frozenset(names) for package, names in exported.items() if names}


def class_path_of(cls: type[Any]) -> str:
    """Name of a class in configurations: that of its face, or `module.Class` if no face exports the class."""
    package = ".".join(cls.__module__.split(".")[:2])
    if cls.__name__ in faces().get(package, ()):
        return f"{package}.{cls.__name__}"
    return f"{cls.__module__}.{cls.__qualname__}"


def configuration_of(cls: type[Any], **arguments: Any) -> dict[str, Any]:
    """Configuration of a class with arguments: `class_path` and `init_args`."""
    return {"class_path": class_path_of(cls), "init_args": arguments}


def full_path(class_path: str, where: str) -> str:
    """Complete a short name, and bring a path of an earlier version up to date.

    Args:
        class_path: A face's name, the last part of one, an alias, or `module.Class` of another package.
        where: Owner of the configuration, for messages.

    Raises:
        ConfigError: No class, or more than one, has the short name; or Soloist has no such class.
    """
    package, _, name = class_path.rpartition(".")
    if not package:
        return _complete(name, where)
    if package.partition(".")[0] != "soloist" or name in faces().get(package, ()):
        return class_path
    if (alias := _aliases().get(class_path)) is not None:
        return alias
    raise ConfigError(f"{where}: there is no class {class_path}; {_nearest(name)}")


def with_full_paths(config: Any, where: str) -> Any:
    """Replace short names and aliases of classes by full class paths, in all parts of a configuration.

    Raises:
        ConfigError: There is no such class.
    """
    if isinstance(config, (list, tuple)):
        return [with_full_paths(part, where) for part in config]
    if not isinstance(config, Mapping):
        return config
    return {
        key: full_path(part, where)
        if key == "class_path" and isinstance(part, str)
        else with_full_paths(part, where)
        for key, part in config.items()
    }


def _complete(name: str, where: str) -> str:
    found = [f"{package}.{name}" for package, names in faces().items() if name in names]
    if len(found) > 1:
        raise ConfigError(f"{where}: {name} may be {' or '.join(sorted(found))}: give the whole class path")
    if not found:
        raise ConfigError(f"{where}: there is no class {name}; {_nearest(name)}")
    return found[0]


def _nearest(name: str) -> str:
    """Say which exported or imported class has the nearest name."""
    paths = {exported: f"{package}.{exported}" for package, names in faces().items() for exported in names}
    paths |= imported_classes()
    near = get_close_matches(name, [known for known in paths if known[0].isupper()], n=1)
    return f"did you mean {paths[near[0]]}?" if near else "see the names that soloist.networks, ... export"


@cache
def _aliases() -> Mapping[str, str]:
    aliases: dict[str, str] = yaml.safe_load(_ALIASES.read_text(encoding="utf-8"))
    return aliases
