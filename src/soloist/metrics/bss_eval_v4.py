"""BSS Eval: distortion, interference and artefacts of estimates.

The projection of an estimate onto the delayed references splits the error into spatial (or filtering)
distortion, interference and artefacts, for a whole signal or for each window.

[1] E. Vincent, R. Gribonval and C. Févotte, "Performance measurement in blind audio source separation",
IEEE TASLP 14(4), 2006: the sources version.
[2] E. Vincent et al., "The signal separation evaluation campaign (2007-2010)", Signal Processing 92(8),
2012: images, and BSS Eval v3.
[3] F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation campaign", LVA/ICA 2018:
BSS Eval v4 and the package museval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.metrics.assignment import best_order
from soloist.metrics.normal_equations import RANK_TOLERANCE
from soloist.metrics.overlapping_blocks import Stretches
from soloist.metrics.projections import Energies, Projections, measure_energies

_MAX_SIR = 1000.0
"""Substitute for infinity in averages, dB."""


@dataclass(frozen=True)
class BSSEval:
    """Ratios by source and window, in dB, in the order of the references.

    Attributes:
        sdr: Signal to total distortion, `(sources, windows)`.
        isr: Source image to spatial distortion, `(sources, windows)`; NaN in the sources version.
        sir: Source to interference, `(sources, windows)`.
        sar: Sources to artefacts, `(sources, windows)`.
        permutation: Index of the estimate of each reference, `(sources, 1)`, or `(sources, windows)` with
            separate filters for each window.
        rank_deficient: True if references are band-limited or otherwise dependent, so that the solution omits
            directions of negligible energy. Does not concern `sdr` of images.
    """

    sdr: Tensor
    isr: Tensor
    sir: Tensor
    sar: Tensor
    permutation: Tensor
    rank_deficient: bool


@torch.no_grad()
def bss_eval(
    references: Tensor,
    estimates: Tensor,
    *,
    window: float,
    hop: float,
    filter_length: int = 512,
    framewise_filters: bool = False,
    sources_version: bool = False,
    permutation: bool = False,
    rank_tolerance: float = RANK_TOLERANCE,
) -> BSSEval:
    """BSS Eval v4 (default), v3 (`framewise_filters`), or for sources (`sources_version`).

    A window with a digitally silent reference or estimate (all channels zero) is NaN for all sources. A
    source with an entirely silent reference or estimate is NaN in all windows, and does not affect others.
    Values that are not finite make the ratios that depend on them NaN. A perfect estimate has an SDR of
    infinity.

    Computed in double precision, in memory independent of the length.

    Args:
        references: True sources `(sources, channels, samples)`.
        estimates: Estimates `(sources, channels, samples)`, on the same device.
        window: Samples of a window; infinity for the whole signal.
        hop: Samples from one window to the next, not necessarily whole.
        filter_length: Taps of the allowed distortion filters.
        framewise_filters: Use separate filters for each window (v3), instead of one set for the signal.
        sources_version: Accept a filtered source as the source: SDR ignores the filters, and ISR is NaN.
        permutation: Find the order of the estimates with the greatest mean SIR, over all windows or, with
            `framewise_filters`, in each.
        rank_tolerance: Least energy of a direction of the delayed references, relative to the strongest;
            weaker directions are omitted. Zero omits nothing, as museval: reproduces published figures for
            band-limited references, which measure the rounding of the references.

    Returns:
        The ratios.

    Raises:
        UsageError: Shapes differ or are empty, or lengths are not positive.
    """
    _check(references, estimates, window, hop, filter_length)
    samples = references.shape[-1]
    windows = Stretches.frames(samples, window, hop)
    if framewise_filters:
        scopes = [(windows[index : index + 1],) * 2 for index in range(len(windows))]
    else:
        scopes = [(Stretches.whole(samples), windows)]
    energies, rank_deficient = [], False
    for stretch, its_windows in scopes:
        projections = Projections.of(
            references,
            estimates,
            stretch,
            num_taps=filter_length,
            all_pairs=permutation,
            rank_tolerance=rank_tolerance,
        )
        energies.append(measure_energies(references, estimates, projections, its_windows))
        rank_deficient |= projections.rank_deficient
    all_energies = Energies.concatenate(energies)
    ratios = _ratios(all_energies, sources_version)
    ratios = ratios.masked_fill(_silent(all_energies, _absent(references), _absent(estimates)), math.nan)
    ratios, order = _match(ratios, framewise_filters)
    sdr, isr, sir, sar = ratios.mT
    return BSSEval(sdr, isr, sir, sar, order.mT, rank_deficient)


def _check(references: Tensor, estimates: Tensor, window: float, hop: float, filter_length: int) -> None:
    if references.ndim != 3 or references.shape != estimates.shape or not references.numel():
        raise UsageError(
            f"references and estimates must both be (sources, channels, samples) and not empty, "
            f"not {tuple(references.shape)} and {tuple(estimates.shape)}"
        )
    if not (window >= 1 and hop > 0 and filter_length >= 1):
        raise UsageError(
            f"window {window:g} and filter_length {filter_length} must be at least one sample, "
            f"and hop {hop:g} above zero"
        )


def _ratios(energies: Energies, sources_version: bool) -> Tensor:
    """SDR, ISR, SIR and SAR in dB, `(4, windows, sources, paired)`."""
    by_estimate = (lambda x: x[:, :, None]) if energies.error.shape[-1] == 1 else (lambda x: x[:, None])
    reference = energies.reference[:, :, None]
    sdr = _decibels(reference, energies.error)
    isr = _decibels(reference, energies.spatial)
    if sources_version:
        sdr, isr = _decibels(energies.own, energies.distortion), torch.full_like(isr, math.nan)
    sir = _decibels(energies.own, energies.interference)
    sar = _decibels(energies.joint, energies.artefacts)
    return torch.stack([sdr, isr, sir, by_estimate(sar).expand_as(sdr)])


def _decibels(signal: Tensor, noise: Tensor) -> Tensor:
    return torch.where(noise == 0, math.inf, 10 * torch.log10(signal / noise))


def _absent(signals: Tensor) -> Tensor:
    """True for signals `(sources, channels, samples)` of zeros only, `(sources,)`."""
    return ~signals.any(dim=-1).any(dim=-1)


def _silent(energies: Energies, no_reference: Tensor, no_estimate: Tensor) -> Tensor:
    """True for pairs and windows without a ratio because of silence, `(windows, sources, paired)`."""
    window = (energies.reference == 0)[:, ~no_reference].any(dim=1)
    window |= (energies.estimate == 0)[:, ~no_estimate].any(dim=1)
    paired = energies.error.shape[-1] > 1
    pair = no_reference[:, None] | (no_estimate if paired else no_estimate[:, None])
    return window[:, None, None] | pair


def _match(ratios: Tensor, framewise: bool) -> tuple[Tensor, Tensor]:
    """Choose the estimate of each reference by the mean SIR of all windows that have one.

    Args:
        ratios: `(4, windows, sources, paired)`.
        framewise: Choose the order separately for each window.

    Returns:
        Ratios `(4, windows, sources)`, and the order `(1 or windows, sources)`.
    """
    _, windows, sources, paired = ratios.shape
    if paired == 1:
        order = torch.arange(sources, device=ratios.device).expand(windows if framewise else 1, -1)
        return ratios[..., 0], order
    # Not finite: no window has a value, or an estimate has no interference.
    score = ratios[2].nan_to_num(nan=math.nan, posinf=_MAX_SIR, neginf=-_MAX_SIR)
    score = score if framewise else score.nanmean(dim=0, keepdim=True)
    order = best_order(score.nan_to_num(nan=0.0))
    return torch.take_along_dim(ratios, order[None, :, :, None], dim=3)[..., 0], order
