"""Oracles and lower bounds as systems under evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

Oracle = Callable[[Tensor, Tensor], Tensor]
"""Mixture `(channels, samples)` and references `(sources, channels, samples)` to estimates like these."""


def _mixture(mixture: Tensor, references: Tensor) -> Tensor:
    return mixture.expand_as(references).clone()


def _silence(mixture: Tensor, references: Tensor) -> Tensor:
    return torch.zeros_like(references)


ORACLES: Mapping[str, Oracle] = MappingProxyType({"mixture": _mixture, "silence": _silence})
"""By the name that follows `oracle:`."""
