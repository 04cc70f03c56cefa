"""Base class of metrics that a recipe can name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor


class Metric(ABC):
    """Figure of merit of estimates, one value for each source.

    A recipe names such classes under `metrics`; a training logs the mean over its validation examples.
    """

    higher_is_better: ClassVar[bool] = True
    """False for distances and errors."""

    @abstractmethod
    def __call__(self, references: Tensor, estimates: Tensor, mixture: Tensor) -> Tensor:
        """Measure a batch.

        Args:
            references: `(batch, sources, channels, samples)`.
            estimates: Same shape, in the references' order.
            mixture: `(batch, channels, samples)`.

        Returns:
            `(batch, sources)`; NaN, such as for a silent reference, is left out of means.
        """
