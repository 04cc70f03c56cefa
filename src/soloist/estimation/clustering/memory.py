"""What is remembered of clusters from one part of a recording to the next."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.estimation.clustering.base import Fit, Start
from soloist.estimation.clustering.confidence import LEAST_SILHOUETTE

HOLD = 0.5
"""Part of its points that a centre counts as much as in the next part: what is heard outweighs what was."""


class ClusterMemory:
    """Clusters of a recording, as they are known from its parts up to now.

    A source that is silent keeps its place, because nothing outweighs what is remembered of it. Clusters that
    were not clear are hardly held on to: those that are found where one source speaks alone are parts of it.
    """

    def __init__(self) -> None:
        self.start: Start | None = None

    @torch.no_grad()
    def remember(self, fit: Fit, silhouette: Tensor) -> None:
        """Take in what was found in the next part.

        Args:
            fit: Its clusters, found from `start` on.
            silhouette: How clear they are, `(batch,)`; NaN where there is only one.
        """
        clear = silhouette.nan_to_num(nan=LEAST_SILHOUETTE).clamp(min=0)
        mass = HOLD * clear[:, None] * fit.mass * fit.used
        if self.start is None:
            self.start = Start(fit.centres, mass, fit.used)
        else:
            self.start = Start(fit.centres, mass.maximum(self.start.mass), fit.used | self.start.known)
