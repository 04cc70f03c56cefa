"""Ratios and permutations, compared with values of SuDoRM-RF's code in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from soloist.losses import (
    SDSDR,
    SISDR,
    SNR,
    PermutationInvariant,
    Prediction,
    ReleasedZeroReferenceSNR,
    ZeroReferenceSNR,
)

NEAR = {"rtol": 1e-5, "atol": 1e-6}
ASTEROID = {"sisdr": SISDR, "sdsdr": SDSDR, "snr": SNR}


class Case:
    """Vector file for a number of sources: estimates, targets and values."""

    def __init__(self, path):
        self.arrays = np.load(path)
        self.estimates, self.targets, self.mixture = (
            torch.from_numpy(self.arrays[f"input/{name}"]).double()
            for name in ("estimate", "target", "mixture")
        )
        self.prediction = Prediction(self.mixture, lambda: self.estimates[:, :, None])
        self.references = self.targets[:, :, None]

    def output(self, name):
        return torch.from_numpy(np.asarray(self.arrays[f"output64/{name}"]))

    def check(self, loss, name, references=None):
        """Compare best values and orders with those of a metric of the original."""
        references = self.references if references is None else references
        assert_close(-loss(self.prediction, references), self.output(f"{name}|individual"), **NEAR)
        order = loss.order(loss.pairs(self.prediction, references))
        assert order.tolist() == self.output(f"{name}|permutation").tolist()


@pytest.fixture(scope="module", params=[2, 3, 4])
def case(request, shared):
    return Case(shared / f"reference/losses/sisdr_pit_{request.param}src.npz")


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize(
    ("name", "stabilization"),
    [("PermInvariantSISDR", "noise"), ("StabilizedPermInvSISDRMetric", "correlation")],
)
def test_si_sdr_in_the_best_order(case, name, stabilization, zero_mean):
    ratio = SISDR(zero_mean=zero_mean, eps=1e-9, stabilization=stabilization)
    case.check(PermutationInvariant(ratio), f"{name}|zero_mean={zero_mean:d}|improvement=0")


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize("kind", ASTEROID)
def test_all_pairs_and_the_least_of_them(case, kind, zero_mean):
    ratio = ASTEROID[kind](zero_mean=zero_mean, stabilization="ratio")
    loss = PermutationInvariant(ratio)
    pairs = loss.pairs(case.prediction, case.references)
    assert_close(pairs.mT, case.output(f"PairwiseNegSDR|{kind}|zero_mean={zero_mean:d}|matrix"), **NEAR)
    least = loss(case.prediction, case.references)
    assert_close(least, case.output(f"PITLossWrapper|{kind}|zero_mean={zero_mean:d}|min_loss")[:, 0], **NEAR)


@pytest.mark.parametrize("kind", ASTEROID)
def test_ratios_that_are_not_in_decibels(case, kind):
    pairs = PermutationInvariant(ASTEROID[kind](zero_mean=True, stabilization="ratio")).pairs(
        case.prediction, case.references
    )
    assert_close(-(10 ** (-pairs.mT / 10)), case.output(f"PairwiseNegSDR|{kind}|linear|matrix"), **NEAR)


@pytest.mark.parametrize("zero_mean", [False, True])
def test_what_is_called_improvement_there(case, zero_mean):
    """The original subtracts the ratio of the mixture averaged over the sources of all items."""
    ratio = SISDR(zero_mean=zero_mean, eps=1e-9, stabilization="noise")
    best = PermutationInvariant(ratio)(case.prediction, case.references)
    mixture = ratio.compare(case.mixture[:, None].expand_as(case.references), case.references).mean()
    expected = case.output(f"PermInvariantSISDR|zero_mean={zero_mean:d}|improvement=1|individual")
    assert_close(mixture - best, expected, **NEAR)


def test_fewer_references_than_estimates(case):
    ratio = SISDR(eps=1e-9, stabilization="correlation")
    loss = PermutationInvariant(ratio, spare=True)
    case.check(loss, "StabilizedPermInvSISDRMetric|fewer_actual", case.references[:, :-1])


def test_without_constants(case):
    """In the original, sisdr_loss adds no constants; nor does pit_loss, which permutes the targets."""
    plain = SISDR(zero_mean=False)(case.prediction, case.references).mean()
    assert_close(plain, case.output("sisdr_loss(target,estimate)"), **NEAR)
    for ratio, name in ((SNR(), "SI=0"), (SISDR(zero_mean=False), "SI=1")):
        least = PermutationInvariant(ratio)(case.prediction, case.references).mean()
        assert_close(least, case.output(f"pit_loss(target,estimate)|{name}"), **NEAR)


@pytest.mark.parametrize("silent", [False, True])
def test_references_that_may_be_silent(case, silent):
    references = case.references.clone()
    name = "PermInvariantSNRwithZeroRefs"
    if silent:
        references[:, -1] = 0
        name += "|last_target_zero"
    case.check(ReleasedZeroReferenceSNR(), name, references)


def test_where_the_original_multiplies_by_the_number_of_sources(case):
    """The original's mean is the sum times the number of active sources; all are active here."""
    mean = PermutationInvariant(ZeroReferenceSNR())(case.prediction, case.references)
    times = case.targets.shape[1] ** 2
    assert_close(-mean * times, case.output("PermInvariantSNRwithZeroRefs|individual"), **NEAR)
