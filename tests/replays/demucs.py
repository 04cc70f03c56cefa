"""Demucs: one network on one chunk, as its `forward` in evaluation mode.

The authors' code differs in this: HTDemucs fails for chunks longer than its training; constructors take
options that no published model has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from soloist.zoo.importers.demucs import CLASSES, make_member


def handles(config: Mapping[str, Any]) -> bool:
    """Tell whether a vector is of this code base."""
    return (
        config.get("system") == "demucs" and config.get("class") in CLASSES.values() and "apply" not in config
    )


def from_reference(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Rebuild the function that a vector records.

    Returns:
        Audio `(batch, channels, samples)` to estimates `(batch, sources, channels, samples)`.

    Raises:
        ModelError: An option is not supported, or the weights do not fit.
    """
    separator = make_member(config["class"], config["kwargs"], state).separator

    @torch.no_grad()
    def separate(mixture: Tensor) -> Tensor:
        return separator.estimate(torch.as_tensor(mixture))

    return separate
