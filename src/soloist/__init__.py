"""Soloist takes a mixture of sounds apart.

`soloist.separate` does it in one call, `soloist.load` gives a `soloist.Separator` to work with. The three are
imported when they are first asked for, so that `import soloist` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from soloist.resources.extras import lazy_names

if TYPE_CHECKING:
    from soloist.inference.separation import load, separate
    from soloist.separators.separator import Separator

__version__ = "0.1.0"

__all__ = ["Separator", "__version__", "load", "separate"]

_HOMES = {
    "Separator": "soloist.separators.separator",
    "load": "soloist.inference.separation",
    "separate": "soloist.inference.separation",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
