"""Packages that only some metrics need."""

from __future__ import annotations

import importlib
from typing import Any

from soloist.errors import UsageError


def import_extra(package: str) -> Any:
    """Import a package of the extra `metrics`.

    Raises:
        UsageError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"this metric needs the package {package.split('.')[0]}: pip install 'soloist[metrics]'"
        ) from error
