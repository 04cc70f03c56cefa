"""nussl 1.1.9: algorithms without training, DUET, oracles, clustering, training targets, networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from replays.nussl import algorithms, clustering, duet, networks, oracles, targets

_PARTS = (algorithms, clustering, duet, networks, oracles, targets)


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of this code base."""
    return any(part.handles(config) for part in _PARTS)


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Rebuild the function that a vector records.

    Raises:
        ModelError: An argument is unknown or missing, or the weights do not fit.
    """
    part = next(part for part in _PARTS if part.handles(config))
    return part.from_reference(config, state)
