"""Soloist takes a mixture of sounds apart.

`soloist.separate` does it in one call, `soloist.load` gives a `soloist.Separator` to work with. The three are
imported when they are first asked for, so that `import soloist` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from soloist.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
