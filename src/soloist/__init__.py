"""Soloist takes a mixture of sounds apart.

`soloist.separate` does it in one call, `soloist.load` gives a `soloist.Separator` to work with. The three are
imported when they are first asked for, so that `import soloist` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from soloist.inference.api import load, separate
    from soloist.separators.base import Separator

__version__ = "0.1.0"

__all__ = ["Separator", "__version__", "load", "separate"]

_HOMES = {
    "Separator": "soloist.separators.base",
    "load": "soloist.inference.api",
    "separate": "soloist.inference.api",
}


def __getattr__(name: str) -> object:
    """Import a public name of the package at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what the package offers, imported yet or not."""
    return sorted({*globals(), *__all__})
