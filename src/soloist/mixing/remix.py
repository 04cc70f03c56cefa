"""Remixing of training batches: new mixtures of sources that were read already."""

from __future__ import annotations

from torch import Tensor


class BatchRemix:
    """Draws the sources of a batch anew among its examples and keeps the distribution of their levels.

    One permutation of the sources' places is drawn, and for each source an independent permutation of the
    batch. The second and further sources are rescaled to the energies that stood in their places, so that
    the mixtures have the signal-to-noise ratios that the corpus has. Everything is then brought to a mixture
    of zero mean and unit deviation.

    E. Tzinis, Z. Wang and P. Smaragdis, "SuDoRM-RF", MLSP 2020, and the code published with it.

    Args:
        seed: Another seed draws other permutations.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __call__(self, references: Tensor, step: int) -> Tensor:
        """Remix the batch of a step.

        Args:
            references: `(batch, sources, channels, samples)`.
            step: Number of the batch.

        Returns:
            References of the same shape; their sum over the sources is the mixture.
        """
        raise NotImplementedError
