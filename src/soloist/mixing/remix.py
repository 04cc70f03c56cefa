"""Remixing of training batches: new mixtures of sources that were read already."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.mixing.example import generator


class BatchRemix:
    """Draws the sources of a batch anew among its examples and keeps the distribution of their levels.

    One permutation of the sources' places is drawn, and for each source an independent permutation of the
    batch. Each source is then rescaled to the energy that stood in its place, so that the mixtures have
    exactly the signal-to-noise ratios that the batch had. At last everything is brought to a mixture of zero
    mean and unit deviation. (The published code leaves the first source at the level that it has, which
    pairs levels that the corpus never paired.)

    Silence stays silence wherever it is drawn to, and a source that comes to a silent place is silenced.

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
        batch, sources = references.shape[:2]
        rows, places = self._draw(batch, sources, step)
        centred = references - references.mean(dim=-1, keepdim=True)
        levels = _deviation(centred, (2, 3))
        drawn = centred[rows.to(references.device), places.to(references.device)]
        remixed = drawn * _ratio(levels, _deviation(drawn, (2, 3)))
        mixture_level = _deviation(remixed.sum(dim=1, keepdim=True), (2, 3))
        return remixed * _ratio(torch.ones_like(mixture_level), mixture_level)

    def _draw(self, batch: int, sources: int, step: int) -> tuple[Tensor, Tensor]:
        """For each example and place the example `(batch, sources)` and the place `(sources,)` to take from.

        Drawn on the CPU, so that the same seed remixes in the same way on every device.
        """
        rng = generator(self, self.seed, step)
        places = torch.from_numpy(rng.permutation(sources))
        rows = [torch.from_numpy(rng.permutation(batch)) for _ in range(sources)]
        return torch.stack(rows, dim=1), places


def _deviation(signals: Tensor, dims: tuple[int, int]) -> Tensor:
    """Root mean square over some axes, which stay as axes of one."""
    return signals.square().mean(dim=dims, keepdim=True).sqrt()


def _ratio(wanted: Tensor, present: Tensor) -> Tensor:
    """The factor from one level to another; 0 for silence, which no factor brings to a level."""
    return torch.where(present > 0, wanted / present, 0.0)
