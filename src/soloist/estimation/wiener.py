"""Multichannel Wiener filter with expectation maximisation.

[1] N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio source separation using
a full-rank spatial covariance model", IEEE TASLP 18(7), 2010.
[2] A. A. Nugraha, A. Liutkus and E. Vincent, "Multichannel audio source separation with deep neural
networks", IEEE/ACM TASLP 24(9), 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor

from soloist.errors import UsageError
from soloist.estimation.coefficient_blocks import (
    fold_windows,
    join_blocks,
    similar_widths,
    split_blocks,
    unfold_windows,
)
from soloist.estimation.local_gaussian import LocalGaussians
from soloist.estimation.representations import with_phase_of
from soloist.resources import is_captured

_LOUD = 10.0
"""Magnitude above which mixtures are scaled down, so that `eps` has the same effect at all levels."""
_GROUP = 2**18
"""Values of all sources in the bins of one step: twice as fast if the step fits in the cache."""


@dataclass(frozen=True)
class WienerEM:
    """Multichannel Wiener filter: estimates of sources from magnitudes and the mixture [2].

    The model of a source is a power for each time and frequency, averaged over channels, and a covariance of
    the channels for each frequency. Each iteration filters the mixture by the models of all sources [1], and
    updates the models from the result. Models are computed in double precision: the covariance of a panned
    source has rank one, which single precision cannot invert.

    Attributes:
        iterations: Number of filter steps; 0 returns the initial estimates.
        start: Initial estimates: "phase": the magnitudes with the phase of the mixture; "mask": the mixture
            shared in proportion to the magnitudes.
        residual: Add the mixture minus the sources as one more source, the last.
        window: Frames (or slices) with a common model; bounds the memory. If None, all.
        eps: Regularisation of powers and covariances.

    Raises:
        UsageError: A number is out of range.
    """

    iterations: int = 1
    start: Literal["phase", "mask"] = "phase"
    residual: bool = False
    window: int | None = 300
    eps: float = 1e-10

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise UsageError(f"iterations {self.iterations} must not be negative")
        if self.window is not None and self.window < 1:
            raise UsageError(f"window {self.window} must be at least 1 frame, or none")
        if self.start not in ("phase", "mask"):
            raise UsageError(f"start {self.start!r} must be phase or mask")
        if not self.eps > 0:
            raise UsageError(f"eps {self.eps:g} must be positive")

    def __call__(self, mixture: Tensor, magnitudes: Tensor) -> Tensor:
        """Estimate sources on a spectrogram.

        Args:
            mixture: Complex `(batch, channels, frequency, frames)`.
            magnitudes: Magnitudes of the sources, `(batch, sources, channels, frequency, frames)`.

        Returns:
            Complex `(batch, sources, channels, frequency, frames)`; one source more with `residual`.

        Raises:
            UsageError: The shapes do not fit.
        """
        (estimates,) = self.filter_blocks([mixture], [magnitudes])
        return estimates

    def filter_blocks(self, mixture: Sequence[Tensor], magnitudes: Sequence[Tensor]) -> list[Tensor]:
        """Estimate sources on blocks of bins with different time resolutions.

        Bins have separate statistics, so blocks padded with zeros to one matrix give the same estimates.

        Args:
            mixture: Complex `(batch, channels, frequency, slices, coefficients)`.
            magnitudes: Magnitudes of the sources, `(batch, sources, channels, frequency, slices,
                coefficients)`.

        Returns:
            Complex, shaped like the magnitudes; one source more with `residual`.

        Raises:
            UsageError: The shapes do not fit.
        """
        _check(mixture, magnitudes)
        if is_captured():
            return self._filter_captured(mixture, magnitudes)
        estimates = [self._make_estimates(*blocks) for blocks in zip(mixture, magnitudes, strict=True)]
        length = mixture[0].shape[3]
        for first in range(0, length, self.window or length):
            part = slice(first, first + (self.window or length))
            mixed = [block[:, :, :, part] for block in mixture]
            gain = _gain(mixed)
            for block, sources, found in zip(mixed, magnitudes, estimates, strict=True):
                self._filter(block, sources[:, :, :, :, part], gain, found[:, :, :, :, part])
        return estimates

    def _make_estimates(self, mixture: Tensor, magnitudes: Tensor) -> Tensor:
        """Uninitialised estimates of a block, with neighbours in memory as in the mixture."""
        batch, sources, *rest = magnitudes.shape
        shape = (batch, sources + self.residual, *rest)
        if mixture.stride(2) > 1:
            return mixture.new_empty(shape)
        return mixture.new_empty(*shape[:3], *shape[4:], shape[3]).movedim(-1, 3)

    def _filter_captured(self, mixture: Sequence[Tensor], magnitudes: Sequence[Tensor]) -> list[Tensor]:
        """`filter_blocks` for graphs: in few steps, whose number does not depend on the length.

        Windows become items of the batch, and blocks of nearly the same width become one block.
        """
        batch, length = mixture[0].shape[0], mixture[0].shape[3]
        mixed = [fold_windows(block, 3, self.window) for block in mixture]
        sources = [fold_windows(block, 4, self.window) for block in magnitudes]
        gain = _gain(mixed)
        estimates: list[Tensor] = []
        for run in similar_widths(mixed):
            whole, parts = join_blocks(mixed[run], 2), join_blocks(sources[run], 3)
            filtered = self._filter_bins(whole.flatten(3), parts.flatten(4), gain)
            estimates += split_blocks(filtered.unflatten(-1, whole.shape[3:]), mixed[run], 3)
        return [unfold_windows(block, 4, batch, length) for block in estimates]

    def _filter(self, mixture: Tensor, magnitudes: Tensor, gain: Tensor, estimates: Tensor) -> None:
        """Filter one block, with one model for all times.

        Args:
            mixture: `(batch, channels, frequency, ...)`.
            magnitudes: `(batch, sources, channels, frequency, ...)`.
            gain: Excess level of the mixture, `(batch,)`; see `_gain`.
            estimates: Estimates with the shape of the magnitudes, one source more with `residual`; written.
        """
        bins = max(1, _GROUP * mixture.shape[2] // magnitudes.numel())
        for first in range(0, mixture.shape[2], bins):
            part = slice(first, first + bins)
            whole, parts, found = mixture[:, :, part], magnitudes[:, :, :, part], estimates[:, :, :, part]
            filtered = self._filter_bins(whole.flatten(3), parts.flatten(4), gain)
            # Copied into place while it is in the cache.
            found.copy_(filtered.unflatten(-1, found.shape[4:]))

    def _filter_bins(self, mixture: Tensor, magnitudes: Tensor, gain: Tensor) -> Tensor:
        begun = self._begin(mixture, magnitudes)
        if not self.iterations:
            return with_phase_of(begun, mixture[:, None])
        # Equivalent to dividing mixture and magnitudes by the gain.
        floor, eps = (number * gain.double().square() for number in (self.eps**0.5, self.eps))
        turned = mixture.stride(2) == 1 and not is_captured()
        heard, models = (x.mT if turned else x for x in (mixture, begun))
        planes = rearrange(torch.view_as_real(heard), "b c f t part -> part b c f t")
        planes = planes.to(torch.float64, memory_format=torch.contiguous_format)
        models = models.to(torch.float64, memory_format=torch.contiguous_format)
        sources = LocalGaussians.with_phase_of(planes, models, eps, -2 if turned else -1)
        for _ in range(self.iterations - 1):
            sources = sources.filtered(sources.whiten(planes, floor), eps)
        estimates = sources.estimate(sources.whiten(planes, floor), mixture.dtype)
        return estimates.mT if turned else estimates

    def _begin(self, mixture: Tensor, magnitudes: Tensor) -> Tensor:
        """Magnitudes of the initial estimates; negative for the opposite phase of the mixture."""
        if self.start == "mask":
            magnitudes = mixture.abs()[:, None] * (
                magnitudes / (self.eps + magnitudes.sum(dim=1, keepdim=True))
            )
        if not self.residual:
            return magnitudes
        rest = mixture.abs() - magnitudes.sum(dim=1)
        return torch.cat([magnitudes, rest[:, None]], dim=1)


def _gain(blocks: Sequence[Tensor]) -> Tensor:
    """Ratio of the peak of each item to `_LOUD`, at least 1; `(batch,)`."""
    # Squares are three times as fast as magnitudes.
    powers = [(block.real.square() + block.imag.square()).flatten(1).amax(dim=1) for block in blocks]
    return (torch.stack(powers).amax(dim=0).sqrt() / _LOUD).clamp(min=1.0)


def _check(mixture: Sequence[Tensor], magnitudes: Sequence[Tensor]) -> None:
    fits = len(mixture) == len(magnitudes) > 0 and all(
        whole.ndim >= 4 and sources.ndim == whole.ndim + 1 and sources[:, 0].shape == whole.shape
        for whole, sources in zip(mixture, magnitudes, strict=True)
    )
    if not fits:
        shapes = [tuple(block.shape) for block in (*mixture[:1], *magnitudes[:1])]
        raise UsageError(
            f"magnitudes must be (batch, sources, channels, frequency, ...) and the mixture like one of "
            f"them: these are {len(magnitudes)} and {len(mixture)} blocks, the first {shapes}"
        )
    items, slices = mixture[0].shape[0], mixture[0].shape[3]
    if any(block.shape[0] != items or block.shape[3] != slices for block in mixture):
        raise UsageError("all blocks must have as many items and slices")
