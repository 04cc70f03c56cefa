"""What a researcher looks at while a training goes on: progress, curves, sounds and pictures.

The training hangs `callbacks_for` and `loggers_for` into Lightning's `Trainer`; what they show is said by the
recipe under `watch`.
"""

from __future__ import annotations

from soloist.resources.extras import lazy_names
from soloist.training.watch.config import WatchConfig

__all__ = ["WatchConfig", "callbacks_for", "loggers_for"]

_ASSEMBLY = "soloist.training.watch.assembly"

__getattr__, __dir__ = lazy_names(__name__, {"callbacks_for": _ASSEMBLY, "loggers_for": _ASSEMBLY})
