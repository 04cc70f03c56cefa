"""Remixing of training batches: new mixtures of the sources of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.mixing.example import generator


class BatchRemix:
    """Random permutation of the sources among the examples of a batch, with unchanged levels.

    The remix draws one permutation of the sources' places, and an independent permutation of the batch for
    each source. It scales each source to the energy of the source that it replaces, which keeps the
    signal-to-noise ratios of the batch, and finally scales each mixture to zero mean and unit deviation. (The
    published code does not scale the first source, and so combines levels that the corpus never combines.)

    Silent sources stay silent, and a source that replaces a silent one becomes silent.

    E. Tzinis, Z. Wang and P. Smaragdis, "SuDoRM-RF", MLSP 2020, and the code published with it.

    Args:
        seed: Seed of the permutations.
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
        """Draw the example `(batch, sources)` and the place `(sources,)` from which each source is taken.

        The CPU draws them, so that a seed gives the same remix on every device.
        """
        rng = generator(self, self.seed, step)
        places = torch.from_numpy(rng.permutation(sources))
        rows = [torch.from_numpy(rng.permutation(batch)) for _ in range(sources)]
        return torch.stack(rows, dim=1), places


def _deviation(signals: Tensor, dims: tuple[int, int]) -> Tensor:
    """Root mean square over some axes, which are kept with size one."""
    return signals.square().mean(dim=dims, keepdim=True).sqrt()


def _ratio(wanted: Tensor, present: Tensor) -> Tensor:
    """Factor from the present level to the wanted one; 0 for silence."""
    return torch.where(present > 0, wanted / present, 0.0)
