"""Base of the separators that estimate coefficients of a transform."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.losses.coefficients import as_blocks
from soloist.networks import Standardizing
from soloist.separators.level import Level
from soloist.separators.separator import Separator, is_silent
from soloist.transforms import Transform

CoefficientsT = TypeVar("CoefficientsT", Tensor, list[Tensor])


class TransformSeparator(Separator):
    """Separator with a transform at either end: levels, silence, synthesis and statistics.

    A subclass sets `transform` and `network`. Coefficients are one tensor
    `(batch, planes, frequency, frames)`, or a list of blocks of other shapes.
    """

    transform: Transform
    network: nn.Module

    def analyze(self, mixture: Tensor) -> tuple[Any, Level | None]:
        """Coefficients of a mixture `(batch, channels, samples)` at the level of the network's input.

        Returns:
            Coefficients, and the level that the mixture was normalised by.

        Raises:
            UsageError: The shape is not that of a mixture for this separator.
        """
        normalized, level = self.normalize(mixture)
        return self.transform(normalized), level

    def restore(self, coefficients: CoefficientsT, mixture: Tensor, level: Level | None) -> CoefficientsT:
        """Estimated coefficients at the level of the mixture; zeros for digital silence.

        Args:
            coefficients: `(batch, sources, channels, ...)`, or blocks of them.
            mixture: Audio `(batch, channels, samples)`.
            level: Level that the mixture was normalised by.
        """
        blocks = as_blocks(coefficients)
        if level is not None:
            ones = as_blocks(self.transform(mixture.new_ones(1, 1, mixture.shape[-1])))
            blocks = [
                level.restore_coefficients(block, one, self.mean_share)
                for block, one in zip(blocks, ones, strict=True)
            ]
        silent = is_silent(mixture)
        blocks = [block.masked_fill(silent.view(-1, *[1] * (block.ndim - 1)), 0.0) for block in blocks]
        return blocks[0] if isinstance(coefficients, Tensor) else blocks

    def synthesize(self, coefficients: CoefficientsT, length: int) -> Tensor:
        """Audio `(batch, sources, channels, length)` of coefficients `(batch, sources, channels, ...)`."""
        folded = [block.flatten(1, 2) for block in as_blocks(coefficients)]
        audio = self.transform.inverse(folded[0] if isinstance(coefficients, Tensor) else folded, length)
        return rearrange(audio, "b (s c) t -> b s c t", c=self.channels)

    @torch.no_grad()
    def measure(self, mixtures: Iterable[Tensor]) -> None:
        """Give a network that normalises the mean and the deviation of each bin's magnitudes.

        Args:
            mixtures: Audio `(batch, channels, samples)`, in pieces; not read for other networks.
        """
        if isinstance(self.network, Standardizing):
            self.network.set_statistics(*_mean_and_deviation(self._moments(mixture) for mixture in mixtures))

    def spectrograms(self, coefficients: Any) -> list[Tensor]:
        """Magnitudes `(batch, channels, frequency, frames)` of coefficients, for each run of bins."""
        return [coefficients.abs()]

    def _moments(self, mixture: Tensor) -> Tensor:
        """Number, sum and sum of squares of each bin's magnitudes, `(3, bins)`, in double precision."""
        coefficients, _ = self.analyze(mixture)
        moments = []
        for spectrogram in self.spectrograms(coefficients):
            values = rearrange(spectrogram.mean(dim=1), "b f t -> f (b t)").double()
            count = torch.full_like(values[:, 0], values.shape[1])
            moments.append(torch.stack([count, values.sum(dim=1), values.square().sum(dim=1)]))
        return torch.cat(moments, dim=1)


def _mean_and_deviation(pieces: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each bin, both `(bins,)`, from the moments `(3, bins)` of each piece."""
    count, total, squares = torch.stack(list(pieces)).sum(dim=0)
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
    return mean.float(), deviation.float()
