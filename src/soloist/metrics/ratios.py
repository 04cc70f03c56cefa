"""Energy ratios of one estimate and its reference, in dB.

All ratios take references and estimates `(..., channels, samples)`, in this order, and return `(...)` in the
precision of the inputs. Channels and samples form one long vector. A perfect estimate has infinity, a silent
reference NaN.

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
"""Function of references and estimates `(..., channels, samples)` to ratios `(...)`, in dB."""

_SIGNAL = (-2, -1)
"""Channels and samples. Flattening them would copy signals whose channels are interleaved in memory."""


def decibels(signal: Tensor, noise: Tensor) -> Tensor:
    """Ratio of energies in dB: infinity without noise, NaN without signal and noise."""
    return 10 * torch.log10(signal / noise)


def sdr(references: Tensor, estimates: Tensor, *, zero_mean: bool = False) -> Tensor:
    """Signal-to-distortion ratio: energy of the reference over energy of the difference.

    Over a whole track, the uSDR (or nSDR) of the Music Demixing Challenge, which adds a small constant to
    both energies [2].

    Args:
        references: `(..., channels, samples)`.
        estimates: `(..., channels, samples)`.
        zero_mean: Remove the mean of each channel first.
    """
    references, estimates = _checked(references, estimates, zero_mean)
    return decibels(_energy(references), _energy(estimates - references))


snr = sdr
"""Signal-to-noise ratio, the same as `sdr` [1]."""


def si_sdr(references: Tensor, estimates: Tensor, *, zero_mean: bool = False) -> Tensor:
    """Scale-invariant SDR: with the reference scaled to be nearest to the estimate [1].

    Arguments are those of `sdr`.
    """
    references, estimates = _checked(references, estimates, zero_mean)
    target = _projection(references, estimates)
    return decibels(_energy(target), _energy(estimates - target))


def sd_sdr(references: Tensor, estimates: Tensor, *, zero_mean: bool = False) -> Tensor:
    """Scale-dependent SDR: energy of the scaled reference over that of the unscaled difference [1].

    Arguments are those of `sdr`.
    """
    references, estimates = _checked(references, estimates, zero_mean)
    return decibels(_energy(_projection(references, estimates)), _energy(estimates - references))


def chunked_sdr(references: Tensor, estimates: Tensor, *, chunk_length: int) -> Tensor:
    """`sdr` of chunks; the median over a track is the cSDR of the Music Demixing Challenge [2].

    Args:
        references: `(..., channels, samples)`.
        estimates: `(..., channels, samples)`.
        chunk_length: Samples of a chunk, one second in the challenge. The remainder is dropped.

    Returns:
        `(..., chunks)`.

    Raises:
        UsageError: The signals are shorter than a chunk.
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
    """Improvement of a ratio over the mixture as estimate (SDRi, SI-SDRi, ...).

    Args:
        ratio: Any of the ratios.
        references: `(..., sources, channels, samples)`.
        estimates: `(..., sources, channels, samples)`, in the order of the references.
        mixture: `(..., channels, samples)`.

    Returns:
        `(..., sources)`, in dB.
    """
    baseline = ratio(references, mixture.unsqueeze(-3).expand_as(references))
    return ratio(references, estimates) - baseline


def permuted(ratio: Ratio, references: Tensor, estimates: Tensor) -> tuple[Tensor, Tensor]:
    """Ratio in the order of the estimates with the greatest mean.

    Args:
        ratio: Any of the ratios.
        references: `(batch, sources, channels, samples)`.
        estimates: `(batch, sources, channels, samples)`.

    Returns:
        Ratios, and index of the estimate of each reference, both `(batch, sources)`.
    """
    num_sources = references.shape[1]
    shape = (-1, num_sources, num_sources, *references.shape[2:])
    scores = ratio(references[:, :, None].expand(shape), estimates[:, None].expand(shape))
    order = best_order(comparable(scores))
    return torch.take_along_dim(scores, order[:, :, None], dim=2)[..., 0], order


def comparable(scores: Tensor) -> Tensor:
    """Make scores finite for sums: infinity becomes 1000 dB, and NaN becomes 0."""
    return scores.nan_to_num(nan=0.0, posinf=1000.0, neginf=-1000.0)


def _checked(references: Tensor, estimates: Tensor, zero_mean: bool) -> tuple[Tensor, Tensor]:
    if references.shape != estimates.shape or references.ndim < 2 or not references.numel():
        raise UsageError(
            f"references and estimates must both be (..., channels, samples) and not empty, "
            f"not {tuple(references.shape)} and {tuple(estimates.shape)}"
        )
    if zero_mean:
        references = references - references.mean(dim=-1, keepdim=True)
        estimates = estimates - estimates.mean(dim=-1, keepdim=True)
    return references, estimates


def _projection(references: Tensor, estimates: Tensor) -> Tensor:
    scale = (references * estimates).sum(dim=_SIGNAL) / _energy(references)
    return scale[..., None, None] * references


def _energy(signals: Tensor) -> Tensor:
    return signals.square().sum(dim=_SIGNAL)
