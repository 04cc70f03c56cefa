"""How far the separation of a whole file can be trusted."""

from __future__ import annotations

import math

import torch

from soloist.separators.separator import Confidence


class MeanConfidence:
    """The mean of what is noted chunk by chunk; figures that a chunk does not have are left out."""

    def __init__(self) -> None:
        self._noted: dict[str, list[float]] = {"silhouette": [], "posterior": []}

    def note(self, confidence: Confidence) -> None:
        """Take in one chunk, or several."""
        for name, values in self._noted.items():
            values.extend(value for value in getattr(confidence, name).tolist() if not math.isnan(value))

    @property
    def figures(self) -> dict[str, float | None] | None:
        """The means, each in [-1, 1] and None where no chunk has it; None where nothing was noted."""
        if not any(self._noted.values()):
            return None
        return {
            name: float(torch.tensor(values, dtype=torch.float64).mean()) if values else None
            for name, values in self._noted.items()
        }
