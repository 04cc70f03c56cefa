"""What is remembered of clusters from one part of a recording to the next."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.estimation.clustering.cluster_gaps import measure_gaps
from soloist.estimation.clustering.clusterer import Fit, Start

HOLD = 0.5
"""Part of its points that a centre counts as much as in the next part: what is heard outweighs what was."""


class ClusterMemory:
    """Clusters of a recording, as they are known from its parts up to now.

    A source that is silent keeps its place, because nothing outweighs what is remembered of it. Clusters
    without a gap between them are hardly held on to: where one source speaks alone they are parts of it.
    """

    def __init__(self) -> None:
        self.start: Start | None = None

    @torch.no_grad()
    def remember(self, fit: Fit, points: Tensor, counted: Tensor) -> None:
        """Take in what was found in the next part.

        Args:
            fit: Its clusters, found from `start` on.
            points: What they were found in, `(batch, points, dimensions)`.
            counted: Which of the points count, `(batch, points)`.
        """
        others = fit.used[:, None] & ~torch.eye(fit.used.shape[1], dtype=torch.bool, device=points.device)
        clear = measure_gaps(fit, points, counted).masked_fill(~others, 1.0).amin(dim=2)
        mass = HOLD * clear * fit.mass * fit.used
        if self.start is None:
            self.start = Start(fit.centres, mass, fit.used)
        else:
            self.start = Start(fit.centres, mass.maximum(self.start.mass), fit.used | self.start.known)
