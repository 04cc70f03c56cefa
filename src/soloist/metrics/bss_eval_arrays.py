"""BSS Eval on arrays in the shapes and with the arguments of museval and of mir_eval.

F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation campaign", LVA/ICA 2018: museval.
C. Raffel et al., "mir_eval: a transparent implementation of common MIR metrics", ISMIR 2014.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from einops import rearrange
from numpy.typing import ArrayLike, NDArray

from soloist.errors import UsageError
from soloist.metrics.bss_eval_v4 import BSSEval, bss_eval
from soloist.metrics.normal_equations import RANK_TOLERANCE

Floats = NDArray[np.float64]


def museval_evaluate(
    references: ArrayLike,
    estimates: ArrayLike,
    win: float = 44100,
    hop: float = 44100,
    mode: Literal["v4", "v3"] = "v4",
    padding: bool = True,
    *,
    rank_tolerance: float = RANK_TOLERANCE,
) -> tuple[Floats, Floats, Floats, Floats]:
    """BSS Eval as `museval.evaluate`.

    Args:
        references: True sources `(sources, samples, channels)`, or `(sources, samples)`.
        estimates: Estimates of them, of the same shape but for the samples.
        win: Samples of a window.
        hop: Samples from one window to the next.
        mode: "v3" uses separate filters for each window.
        padding: Cut the estimates, or pad them with zeros, to the length of the references.
        rank_tolerance: See `bss_eval`; 0 gives museval's figures of band-limited references.

    Returns:
        SDR, ISR, SIR and SAR `(sources, windows)`, dB.

    Raises:
        UsageError: Shapes differ or are empty, lengths are not positive, or there is no such mode.
    """
    true, estimated = _arrays("(sources, samples, channels)", (2, 3), references, estimates)
    if padding and true.ndim == estimated.ndim:
        estimated = estimated[:, : true.shape[1]]
        missing = true.shape[1] - estimated.shape[1]
        estimated = np.pad(estimated, [(0, 0), (0, missing), *[(0, 0)] * (true.ndim - 2)])
    if mode not in ("v4", "v3"):
        raise UsageError(f"mode is v4 or v3, not {mode!r}")
    result = _evaluate(
        true, estimated, window=win, hop=hop, framewise_filters=mode == "v3", rank_tolerance=rank_tolerance
    )
    sdr, isr, sir, sar = (ratio.numpy() for ratio in (result.sdr, result.isr, result.sir, result.sar))
    return sdr, isr, sir, sar


def bss_eval_sources(
    reference_sources: ArrayLike, estimated_sources: ArrayLike, compute_permutation: bool = True
) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """BSS Eval as `mir_eval.separation.bss_eval_sources`.

    Args:
        reference_sources: True sources `(sources, samples)`.
        estimated_sources: Estimates of them, of the same shape.
        compute_permutation: Find the order of the estimates with the greatest mean SIR.

    Returns:
        SDR, SIR and SAR `(sources,)`, dB, and the index of the estimate of each reference.

    Raises:
        UsageError: Shapes differ or are empty.
    """
    true, estimated = _arrays("(sources, samples)", (2,), reference_sources, estimated_sources)
    options = {"sources_version": True, "permutation": compute_permutation}
    result = _evaluate(true, estimated, window=math.inf, hop=math.inf, **options)
    sdr, sir, sar = (ratio[:, 0].numpy() for ratio in (result.sdr, result.sir, result.sar))
    return sdr, sir, sar, result.permutation[:, 0].numpy()


def _arrays(layout: str, axes: tuple[int, ...], *given: ArrayLike) -> list[Floats]:
    arrays = [np.asarray(each, dtype=np.float64) for each in given]
    shapes = [each.shape for each in arrays]
    same = len({(len(shape), shape[0], shape[2:]) for shape in shapes if shape}) == 1
    if not same or any(len(shape) not in axes for shape in shapes):
        raise UsageError(
            f"references and estimates must both be {layout}, not {' and '.join(map(str, shapes))}"
        )
    return arrays


def _evaluate(true: Floats, estimated: Floats, **options: Any) -> BSSEval:
    """BSS Eval of arrays `(sources, samples)` or `(sources, samples, channels)`."""
    true_sources, estimates = (
        torch.from_numpy(each[:, None] if each.ndim == 2 else rearrange(each, "s t c -> s c t").copy())
        for each in (true, estimated)
    )
    return bss_eval(true_sources, estimates, **options)
