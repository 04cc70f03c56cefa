"""Imports at first use: public names of packages, and packages that not everybody has."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from soloist.errors import UsageError


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` (PEP 562) of a package whose names live in other modules.

    Args:
        package: The package's `__name__`.
        homes: For each public name the module that defines it.
    """

    def get(name: str) -> object:
        """Import a public name at its first use."""
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        """Name what the package offers, imported yet or not."""
        return sorted({*vars(sys.modules[package]), *homes})

    return get, names


def import_extra(package: str, extra: str) -> Any:
    """Import a package that one of Soloist's extras adds.

    Raises:
        UsageError: It is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        name = package.partition(".")[0]
        raise UsageError(f"the package {name} is needed for this: pip install 'soloist[{extra}]'") from error
