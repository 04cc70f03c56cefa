"""Packages that import their public names at first use, so that importing the package costs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


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
