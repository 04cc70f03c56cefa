"""Optional packages."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from soloist.errors import UsageError


def import_extra(package: str, extra: str) -> Any:
    """Import a package of one of Soloist's extras.

    Raises:
        UsageError: The package is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        name = package.partition(".")[0]
        raise UsageError(f"the package {name} is needed for this: pip install 'soloist[{extra}]'") from error
