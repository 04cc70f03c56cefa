"""Oracles: upper bounds of separation that know the true sources, and lower bounds.

An oracle is a rule on the coefficients of any transform, from the mixture `(batch, channels, frequency, ...)`
and the true sources `(batch, sources, channels, frequency, ...)` to estimates like the sources. Axes after
the frequency are time: frames, or slices and their coefficients. For a transform with a list of blocks, the
rule applies to each block.

[1] E. Vincent, R. Gribonval and M. D. Plumbley, "Oracle estimators for the benchmarking of source separation
algorithms", Signal Processing 87(8), 2007.
[2] A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power spectrograms", ICASSP 2015.
[3] H. Erdogan et al., "Phase-sensitive and recognition-boosted speech separation using deep recurrent neural
networks", ICASSP 2015.
[4] N. Q. K. Duong, E. Vincent and R. Gribonval, "Under-determined reverberant audio source separation using a
full-rank spatial covariance model", IEEE TASLP 18(7), 2010.
[5] F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal separation evaluation campaign", LVA/ICA 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from soloist.errors import UsageError
from soloist.estimation import LocalGaussians, with_phase_of
from soloist.losses.coefficients import phase_sensitive_ratio
from soloist.transforms import Transform

Rule = Callable[[Tensor, Tensor], Tensor]
"""Coefficients of the mixture and of the sources to those of the estimates, shaped like the sources'."""

_REGULARIZATION = 1e-10
"""Regularisation of the covariance of the mixture, relative to its mean power."""
_SILENCE = 1e-30
"""Inaudible power that keeps the covariance of silence invertible."""


class Oracle:
    """Estimates sources by a rule that knows them.

    Args:
        name: Name of the rule, one of `ORACLES`.
        transform: Analysis and synthesis; irrelevant for the lower bounds.

    Raises:
        UsageError: There is no such rule.
    """

    def __init__(self, name: str, transform: Transform) -> None:
        if name not in ORACLES:
            raise UsageError(f"there is no oracle {name!r}; known are {', '.join(ORACLES)}")
        self.rule = ORACLES[name]
        self.transform = transform

    def __call__(self, mixture: Tensor, references: Tensor) -> Tensor:
        """Estimate the sources.

        Args:
            mixture: `(batch, channels, samples)`.
            references: The true sources `(batch, sources, channels, samples)`.

        Returns:
            Estimates `(batch, sources, channels, samples)`.
        """
        if references.ndim != 4 or mixture.shape != references[:, 0].shape:
            raise UsageError(
                f"references {tuple(references.shape)} must be (batch, sources, channels, samples) and the "
                f"mixture {tuple(mixture.shape)} like one of them"
            )
        return estimate_by_rule(self.rule, self.transform, mixture, references)


def estimate_by_rule(rule: Rule, transform: Transform, mixture: Tensor, references: Tensor) -> Tensor:
    """Analyse, apply a rule, and synthesise; shapes as in `Oracle`."""
    batch, _, _, samples = references.shape
    whole: Any = transform(mixture)
    parts: Any = transform(rearrange(references, "b s c t -> (b s) c t"))
    estimates: Any
    if isinstance(whole, Tensor):
        estimates = _by_block(rule, whole, parts, batch)
    else:
        estimates = [_by_block(rule, *blocks, batch) for blocks in zip(whole, parts, strict=True)]
    return rearrange(transform.inverse(estimates, samples), "(b s) c t -> b s c t", b=batch)


def _by_block(rule: Rule, mixture: Tensor, sources: Tensor, batch: int) -> Tensor:
    estimates = rule(mixture, rearrange(sources, "(b s) ... -> b s ...", b=batch))
    return rearrange(estimates, "b s ... -> (b s) ...")


def ideal_binary_mask(mixture: Tensor, sources: Tensor) -> Tensor:
    """Each coefficient of the mixture for the loudest source [1]; ties share the coefficient."""
    magnitudes = sources.abs()
    loudest = (magnitudes == magnitudes.amax(dim=1, keepdim=True)).to(magnitudes.dtype)
    return loudest / loudest.sum(dim=1, keepdim=True) * mixture[:, None]


def ideal_ratio_mask(mixture: Tensor, sources: Tensor, power: float = 1.0) -> Tensor:
    """Each coefficient of the mixture, shared by the sources' magnitudes to a power [2]."""
    return share(sources.abs() ** power) * mixture[:, None]


def phase_sensitive_mask(mixture: Tensor, sources: Tensor) -> Tensor:
    """The real mask in [0, 1] that brings the mixture nearest to the source [3]."""
    whole = mixture[:, None]
    return phase_sensitive_ratio(whole, sources) * whole


def mix_phase_inversion(mixture: Tensor, sources: Tensor) -> Tensor:
    """True magnitudes of the sources with the phase of their sum (not of a lossy mixture)."""
    return with_phase_of(sources.abs(), sources.sum(dim=1, keepdim=True))


def multichannel_wiener(mixture: Tensor, sources: Tensor) -> Tensor:
    """The Wiener filter of a local Gaussian model [4] with the sources' own powers and covariances."""
    # A panned source has a covariance of rank one: single precision cannot invert the sum.
    heard = rearrange(torch.view_as_real(mixture.flatten(3)), "b c f t part -> part b c f t").double()
    floor = (_REGULARIZATION * heard.square().sum(dim=0).flatten(1).mean(dim=1)).clamp(min=_SILENCE)
    models = sources.flatten(4).to(torch.complex128)
    known = LocalGaussians.measure(models, torch.full_like(floor, _SILENCE))
    return known.estimate(known.whiten(heard, floor), sources.dtype).reshape(sources.shape)


def mixture_itself(mixture: Tensor, sources: Tensor) -> Tensor:
    """Lower bound: each estimate is the mixture."""
    return mixture[:, None].expand_as(sources)


def silence(mixture: Tensor, sources: Tensor) -> Tensor:
    """Lower bound: each estimate is silent."""
    return torch.zeros_like(sources)


ORACLES: Mapping[str, Rule] = MappingProxyType(
    {
        "ibm": ideal_binary_mask,
        "irm1": ideal_ratio_mask,
        "irm2": partial(ideal_ratio_mask, power=2.0),
        "psm": phase_sensitive_mask,
        "mwf": multichannel_wiener,
        "mpi": mix_phase_inversion,
        "mixture": mixture_itself,
        "silence": silence,
    }
)
"""Rules by name, after the 2018 campaign [5]."""


def share(weights: Tensor, floor: float = 0.0) -> Tensor:
    """Weights of sources `(batch, sources, ...)` as parts of the sum; equal parts if all are zero."""
    total = weights.sum(dim=1, keepdim=True) + floor
    return torch.where(total == 0, 1 / weights.shape[1], weights / total.masked_fill(total == 0, 1))
