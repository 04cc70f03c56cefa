"""Energy ratios of one estimate and its reference, in dB.

All of them take references and estimates `(..., channels, samples)`, in this order, and return `(...)` in the
inputs' precision. Channels and samples count together, as one long vector. A perfect estimate has infinity;
a silent reference has no ratio, which is NaN.

[1] J. Le Roux, S. Wisdom, H. Erdogan and J. R. Hershey, "SDR - half-baked or well done?", ICASSP 2019.
[2] Y. Mitsufuji et al., "Music Demixing Challenge 2021", Frontiers in Signal Processing, 2022.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor

from soloist.errors import UsageError
from soloist.metrics.assignment import best_order

Ratio = Callable[[Tensor, Tensor], Tensor]
"""References and estimates `(..., channels, samples)` to ratios `(...)`, in dB."""


def decibels(signal: Tensor, noise: Tensor) -> Tensor:
    """`10 log10(signal / noise)` of energies: infinity without noise, NaN without either."""
    return 10 * torch.log10(signal / noise)


def sdr(references: Tensor, estimates: Tensor, *, zero_mean: bool = False) -> Tensor:
    """Signal-to-distortion ratio: the reference's energy over that of the difference.

    Over a whole track it is the uSDR of the Music Demixing Challenge, there called nSDR too, where a small
    constant is added to both energies [2].

    Args:
        references: `(..., channels, samples)`.
        estimates: `(..., channels, samples)`.
        zero_mean: Whether to remove the mean of each channel of both first.
    """
    references, estimates = _vectors(references, estimates, zero_mean)
    return decibels(_energy(references), _energy(estimates - references))


snr = sdr
"""Signal-to-noise ratio: another name of `sdr` [1]."""


def si_sdr(references: Tensor, estimates: Tensor, *, zero_mean: bool = False) -> Tensor:
    """Scale-invariant SDR: the reference is scaled to be nearest to the estimate [1].

    Arguments are those of `sdr`.
    """
    references, estimates = _vectors(references, estimates, zero_mean)
    target = _projection(references, estimates)
    return decibels(_energy(target), _energy(estimates - target))


def sd_sdr(references: Tensor, estimates: Tensor, *, zero_mean: bool = False) -> Tensor:
    """Scale-dependent SDR: the scaled reference's energy, but the difference to the unscaled one [1].

    Arguments are those of `sdr`.
    """
    references, estimates = _vectors(references, estimates, zero_mean)
    return decibels(_energy(_projection(references, estimates)), _energy(estimates - references))


def chunked_sdr(references: Tensor, estimates: Tensor, *, chunk_length: int) -> Tensor:
    """`sdr` of chunks, of which the median over a track is the cSDR of the Music Demixing Challenge [2].

    Args:
        references: `(..., channels, samples)`.
        estimates: `(..., channels, samples)`.
        chunk_length: Samples of a chunk, one second in the challenge; what is left at the end is dropped.

    Returns:
        `(..., chunks)`.

    Raises:
        UsageError: There is not one chunk.
    """
    if not 1 <= chunk_length <= references.shape[-1]:
        raise UsageError(f"chunks of {chunk_length} samples cannot be cut from {references.shape[-1]}")
    pattern = "... c n t -> ... n c t"
    chunks = (
        rearrange(signals.unfold(-1, chunk_length, chunk_length), pattern)
        for signals in (references, estimates)
    )
    return sdr(*chunks)


def improvement(ratio: Ratio, references: Tensor, estimates: Tensor, mixture: Tensor) -> Tensor:
    """By how much estimates are better than the mixture itself (SDRi, SI-SDRi, ...).

    Args:
        ratio: Any of the ratios.
        references: `(..., sources, channels, samples)`.
        estimates: `(..., sources, channels, samples)`, in the references' order.
        mixture: `(..., channels, samples)`.

    Returns:
        `(..., sources)`, in dB.
    """
    baseline = ratio(references, mixture.unsqueeze(-3).expand_as(references))
    return ratio(references, estimates) - baseline


def permuted(ratio: Ratio, references: Tensor, estimates: Tensor) -> tuple[Tensor, Tensor]:
    """A ratio in the order of the estimates that has the greatest mean of it.

    Args:
        ratio: Any of the ratios.
        references: `(batch, sources, channels, samples)`.
        estimates: `(batch, sources, channels, samples)`.

    Returns:
        Ratios `(batch, sources)` and, for each reference, the index of its estimate `(batch, sources)`.
    """
    num_sources = references.shape[1]
    shape = (-1, num_sources, num_sources, *references.shape[2:])
    scores = ratio(references[:, :, None].expand(shape), estimates[:, None].expand(shape))
    order = best_order(comparable(scores))
    return torch.take_along_dim(scores, order[:, :, None], dim=2)[..., 0], order


def comparable(scores: Tensor) -> Tensor:
    """Scores that can be added up: infinity becomes 1000 dB, and what has no value counts nothing."""
    return scores.nan_to_num(nan=0.0, posinf=1000.0, neginf=-1000.0)


def _vectors(references: Tensor, estimates: Tensor, zero_mean: bool) -> tuple[Tensor, Tensor]:
    if references.shape != estimates.shape or references.ndim < 2 or not references.numel():
        raise UsageError(
            f"references and estimates must both be (..., channels, samples) and not empty, "
            f"not {tuple(references.shape)} and {tuple(estimates.shape)}"
        )
    if zero_mean:
        references = references - references.mean(dim=-1, keepdim=True)
        estimates = estimates - estimates.mean(dim=-1, keepdim=True)
    return references.flatten(-2), estimates.flatten(-2)


def _projection(references: Tensor, estimates: Tensor) -> Tensor:
    scale = (references * estimates).sum(dim=-1, keepdim=True) / _energy(references)[..., None]
    return scale * references


def _energy(vectors: Tensor) -> Tensor:
    return vectors.square().sum(dim=-1)
