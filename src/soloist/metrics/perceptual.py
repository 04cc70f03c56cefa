"""Perceptual metrics of speech: PESQ, STOI and ESTOI.

Computed by the packages pesq and pystoi; install both with `pip install 'soloist[metrics]'`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soloist.errors import UsageError
from soloist.resources import import_extra

_STOI_SECONDS = 0.4
_PESQ_RATES = {"narrow": (8000, 16000), "wide": (16000,)}


def pesq(
    references: Tensor, estimates: Tensor, *, sample_rate: int, band: Literal["narrow", "wide"] | None = None
) -> Tensor:
    """Perceptual evaluation of speech quality, MOS-LQO from about 1 to 4.6 (ITU-T P.862.1 and P.862.2).

    Args:
        references: Clean speech `(..., samples)`.
        estimates: Estimates `(..., samples)`.
        sample_rate: 8000 or 16000 Hz.
        band: Telephone ("narrow") or 50 to 7000 Hz ("wide", needs 16000 Hz). If None, the widest.

    Returns:
        `(...)`, float64; NaN if PESQ finds no utterance.

    Raises:
        UsageError: The sample rate is not defined for the band, shapes differ, or pesq is not installed.
    """
    band = band or ("wide" if sample_rate == 16000 else "narrow")
    if sample_rate not in _PESQ_RATES[band]:
        raise UsageError(f"PESQ ({band} band) is not defined at {sample_rate} Hz: resample to 16000 Hz")
    package = import_extra("pesq", "metrics")

    mode, on_error = band[0] + "b", package.PesqError.RETURN_VALUES

    def one(reference: NDArray[np.float64], estimate: NDArray[np.float64]) -> float:
        score = package.pesq(sample_rate, reference, estimate, mode, on_error=on_error)
        return score if score >= 0 else math.nan  # Errors are negative numbers.

    return _each(one, references, estimates)


def stoi(references: Tensor, estimates: Tensor, *, sample_rate: int, extended: bool = False) -> Tensor:
    """Short-time objective intelligibility, at most 1.

    C. H. Taal et al., "An algorithm for intelligibility prediction of time-frequency weighted noisy speech",
    IEEE TASLP 19(7), 2011; extended: J. Jensen and C. H. Taal, IEEE/ACM TASLP 24(11), 2016.

    Args:
        references: Clean speech `(..., samples)`.
        estimates: Estimates `(..., samples)`.
        sample_rate: Hz.
        extended: Compute ESTOI, for fluctuating interference.

    Returns:
        `(...)`, float64; NaN if the reference has less than about 0.4 s of speech.

    Raises:
        UsageError: Shapes differ, or pystoi is not installed.
    """
    package = import_extra("pystoi", "metrics")

    def one(reference: NDArray[np.float64], estimate: NDArray[np.float64]) -> float:
        if len(reference) < _STOI_SECONDS * sample_rate or not reference.any():
            return math.nan
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            try:
                return float(package.stoi(reference, estimate, sample_rate, extended=extended))
            except RuntimeWarning:  # Too few frames: pystoi would return 1e-5.
                return math.nan

    return _each(one, references, estimates)


def _each(
    one: Callable[[NDArray[np.float64], NDArray[np.float64]], float], references: Tensor, estimates: Tensor
) -> Tensor:
    if references.shape != estimates.shape or references.ndim < 1 or not references.numel():
        raise UsageError(
            f"references and estimates must both be (..., samples) and not empty, "
            f"not {tuple(references.shape)} and {tuple(estimates.shape)}"
        )
    rows = (
        signals.detach().double().cpu().reshape(-1, signals.shape[-1]).numpy()
        for signals in (references, estimates)
    )
    scores = [one(*pair) if np.isfinite(pair).all() else math.nan for pair in zip(*rows, strict=True)]
    return torch.tensor(scores, dtype=torch.float64).reshape(references.shape[:-1])
