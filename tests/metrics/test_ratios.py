"""Ratios, compared with the formulas of the papers and values of published code."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.metrics import chunked_sdr, improvement, permuted, sd_sdr, sdr, si_sdr, snr

RATIOS = {"sisdr": si_sdr, "sdsdr": sd_sdr, "snr": snr}


def signals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestPublishedValues:
    """Published losses add small constants to energies; the noise here is far above them."""

    @pytest.fixture(params=[2, 3, 4])
    def vector(self, request, shared):
        with np.load(shared / "reference" / "losses" / f"sisdr_pit_{request.param}src.npz") as stored:
            return {key: stored[key] for key in stored.files}

    @pytest.mark.parametrize("name", RATIOS)
    @pytest.mark.parametrize("zero_mean", [False, True])
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
    def test_every_pair_of_target_and_estimate(self, name, zero_mean, dtype, tolerance, vector):
        targets, estimates = (
            torch.from_numpy(vector[f"input/{key}"]).to(dtype)[:, :, None] for key in ("target", "estimate")
        )
        expected = -vector[f"output64/PairwiseNegSDR|{name}|zero_mean={int(zero_mean)}|matrix"]
        count = targets.shape[1]
        for estimate in range(count):
            repeated = estimates[:, estimate : estimate + 1].expand_as(targets)
            result = RATIOS[name](targets, repeated, zero_mean=zero_mean).double().numpy()
            # The published ratio has 1e-8 added, which matters for nearly silent targets.
            result = 10 * np.log10(10 ** (result / 10) + 1e-8)
            np.testing.assert_allclose(result, expected[:, estimate], rtol=0, atol=tolerance)

    @pytest.mark.parametrize("zero_mean", [False, True])
    def test_best_permutation(self, zero_mean, vector):
        targets, estimates = (
            torch.from_numpy(vector[f"input/{key}"]).double()[:, :, None] for key in ("target", "estimate")
        )
        name = f"PermInvariantSISDR|zero_mean={int(zero_mean)}|improvement=0"
        result, order = permuted(partial(si_sdr, zero_mean=zero_mean), targets, estimates)
        assert np.array_equal(order.numpy(), vector[f"output64/{name}|permutation"])
        expected = vector[f"output64/{name}|individual"]
        np.testing.assert_allclose(result.mean(dim=1).numpy(), expected, rtol=0, atol=1e-6)


def test_known_values():
    reference = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    estimate = torch.tensor([[2.0, 1.0, 0.0, 0.0]])
    assert sdr(reference, estimate).item() == pytest.approx(10 * math.log10(1 / 2))
    assert si_sdr(reference, estimate).item() == pytest.approx(10 * math.log10(4))
    assert sd_sdr(reference, estimate).item() == pytest.approx(10 * math.log10(4 / 2))


@given(gain=st.floats(1e-3, 1e3), seed=st.integers(0, 50))
def test_only_si_sdr_ignores_the_gain_of_the_estimate(gain, seed):
    reference, estimate = signals(1, 300, seed=seed), signals(1, 300, seed=seed + 1)
    estimate = reference + 0.3 * estimate
    torch.testing.assert_close(si_sdr(reference, gain * estimate), si_sdr(reference, estimate))
    if abs(gain - 1) > 0.3:
        assert abs(sdr(reference, gain * estimate) - sdr(reference, estimate)) > 1e-3


def test_channels_count_as_one_vector():
    reference, estimate = signals(2, 100), signals(2, 100, seed=1)
    together = si_sdr(reference, estimate)
    torch.testing.assert_close(together, si_sdr(reference.reshape(1, 200), estimate.reshape(1, 200)))


@pytest.mark.parametrize("ratio", [sdr, si_sdr, sd_sdr])
def test_limits(ratio):
    reference, silent = torch.tensor([[1.0, -2.0, 0.5]]), torch.zeros(1, 3)
    assert ratio(reference, reference) == math.inf
    assert ratio(silent, silent).isnan()
    assert ratio(reference, torch.full((1, 3), math.nan)).isnan()
    assert not ratio(reference, silent) > 0


def test_chunks_are_scored_one_by_one_and_the_rest_is_dropped():
    reference, estimate = signals(3, 2, 250), signals(3, 2, 250, seed=1)
    result = chunked_sdr(reference, estimate, chunk_length=100)
    assert result.shape == (3, 2)
    torch.testing.assert_close(result[:, 1], sdr(reference[..., 100:200], estimate[..., 100:200]))
    with pytest.raises(UsageError, match="251"):
        chunked_sdr(reference, estimate, chunk_length=251)


def test_the_mixture_is_no_improvement():
    references = signals(2, 3, 1, 100)
    mixture = references.sum(dim=1)
    assert improvement(si_sdr, references, mixture[:, None].expand_as(references), mixture).abs().max() == 0
    better = improvement(si_sdr, references, references + 0.01 * signals(2, 3, 1, 100, seed=2), mixture)
    assert better.shape == (2, 3)
    assert (better > 20).all()


@given(order=st.permutations(range(3)))
def test_the_order_of_the_estimates_is_found(order):
    references = signals(1, 3, 1, 200)
    estimates = references + 0.1 * signals(1, 3, 1, 200, seed=1)
    result, found = permuted(si_sdr, references, estimates[:, list(order)])
    assert found[0].tolist() == [order.index(source) for source in range(3)]
    torch.testing.assert_close(result, si_sdr(references, estimates))


def test_a_silent_source_does_not_hide_the_order_of_the_others():
    references = signals(1, 3, 1, 200)
    references[:, 1] = 0
    result, found = permuted(sdr, references, references[:, [2, 1, 0]])
    assert found.tolist() == [[2, 1, 0]]
    assert result[0].isnan().tolist() == [False, True, False]


def test_shapes_that_differ_are_refused():
    with pytest.raises(UsageError, match="not empty"):
        sdr(torch.zeros(2, 1, 10), torch.zeros(2, 1, 11))
