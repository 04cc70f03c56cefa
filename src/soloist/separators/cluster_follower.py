"""Separating a recording chunk by chunk by clusters that are carried over from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor

from soloist.estimation import ClusterMemory, measure_confidence
from soloist.separators.separator import Finish, Note

if TYPE_CHECKING:
    from soloist.separators.clustering_separator import ClusteringSeparator


class ClusterFollower:
    """Follows the sources of one recording by the centres of their clusters.

    The network is run on all chunks of a batch at once; they are then clustered one after the other. Groups
    of channels that the separator takes apart are clustered together, so that they agree on the sources.

    Args:
        separator: What separates.
        note: Is told how clear the clusters of each chunk are.
    """

    def __init__(self, separator: ClusteringSeparator, note: Note | None = None) -> None:
        self.separator = separator
        self.note = note
        self.memory = ClusterMemory()

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Analysis before the network; clusters and synthesis after it.

        Args:
            mixture: Consecutive chunks `(chunks, groups * channels, samples)`.

        Returns:
            What the network is given, and what makes estimates `(chunks, sources, groups * channels,
            samples)` of its planes.
        """
        separator = self.separator
        groups = mixture.shape[1] // separator.channels
        mixed = separator.transform(rearrange(mixture, "b (g c) t -> (b g) c t", g=groups))

        def finish(outputs: Sequence[Tensor]) -> Tensor:
            embeddings, _ = separator.split_heads(outputs[0], mixed)
            embeddings = rearrange(embeddings, "(b g) c f t e -> b (g c) f t e", g=groups)
            coefficients = rearrange(mixed, "(b g) c f t -> b (g c) f t", g=groups)
            chunks = zip(embeddings.split(1), coefficients.split(1), strict=True)
            estimates = torch.cat([self._separate(*chunk) for chunk in chunks])
            estimates = rearrange(estimates, "b s (g c) f t -> (b g) s c f t", g=groups)
            audio = separator.synthesize(estimates, mixture.shape[-1])
            return rearrange(audio, "(b g) s c t -> b s (g c) t", g=groups)

        return (separator.represent(mixed),), finish

    def _separate(self, embeddings: Tensor, coefficients: Tensor) -> Tensor:
        """The estimated coefficients of one chunk; silence is neither clustered nor remembered."""
        points, counted = self.separator.points(embeddings, coefficients)
        fit = self.separator.find_clusters(points, counted, self.memory.start)
        if counted.any():
            self.memory.remember(fit, points, counted)
            if self.note is not None:
                self.note(measure_confidence(fit, points, counted))
        return self.separator.share_points(fit, embeddings) * coefficients[:, None]
