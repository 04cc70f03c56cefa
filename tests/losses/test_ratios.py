import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from soloist.losses import SDSDR, SISDR, SNR, ThresholdedSNR
from soloist.metrics import sd_sdr, sdr, si_sdr


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def references():
    return noise(2, 3, 2, 400, seed=1)


@pytest.fixture
def estimates(references):
    return references + 0.5 * noise(2, 3, 2, 400)


@pytest.mark.parametrize(("loss", "metric"), [(SISDR, si_sdr), (SDSDR, sd_sdr), (SNR, sdr)])
@pytest.mark.parametrize("zero_mean", [False, True])
def test_a_ratio_is_minus_the_metric_of_its_name(loss, metric, zero_mean, estimates, references):
    value = loss(zero_mean=zero_mean).compare(estimates, references + 0.1)
    assert_close(value, -metric(references + 0.1, estimates, zero_mean=zero_mean))


@given(gain=st.floats(0.1, 100), level=st.floats(0.1, 10), seed=st.integers(0, 100))
@pytest.mark.parametrize("stabilization", ["energies", "ratio", "noise", "correlation"])
@pytest.mark.parametrize("channels", ["together", "scaled", "apart"])
def test_si_sdr_does_not_care_about_gain(stabilization, channels, gain, level, seed):
    references = noise(1, 2, 2, 200, seed=seed)
    estimates = references + level * noise(1, 2, 2, 200, seed=seed + 1000)
    loss = SISDR(stabilization=stabilization, channels=channels)
    assert_close(
        loss.compare(gain * estimates, references), loss.compare(estimates, references), atol=1e-3, rtol=0
    )


def test_channels_count_together_or_apart():
    """One channel is correct up to a gain, the other wrong."""
    references = noise(1, 1, 2, 4000, seed=1)
    wrong = noise(1, 1, 1, 4000)
    right = 0.5 * references[:, :, :1] + 0.005 * noise(1, 1, 1, 4000, seed=2)
    estimates = torch.cat([right, references[:, :, 1:] + wrong], dim=2)
    together, scaled, apart = (
        -SISDR(channels=channels).compare(estimates, references).item()
        for channels in ("together", "scaled", "apart")
    )
    assert apart == pytest.approx((40 + 0) / 2, abs=0.5)
    assert scaled == pytest.approx(10 * torch.tensor((0.25 + 1) / 1).log10().item(), abs=0.5)
    assert together < scaled < apart


@pytest.mark.parametrize(("stabilization", "worth"), [("energies", 0), ("ratio", 80), ("noise", torch.inf)])
def test_what_a_silent_estimate_costs(stabilization, worth, references):
    loss = SISDR(stabilization=stabilization).compare(torch.zeros_like(references), references)
    assert_close(loss, torch.full_like(loss, worth))


@pytest.mark.parametrize("loss", [SISDR(), SDSDR(), SNR(), ThresholdedSNR()])
def test_a_silent_reference_asks_for_a_silent_estimate(loss):
    silent = torch.zeros(1, 1, 1, 100)
    loud, quiet, none = (
        loss.compare(level * torch.ones(1, 1, 1, 100).cumsum(-1), silent) for level in (1, 0.1, 0)
    )
    assert loud - quiet == pytest.approx(20, abs=1e-3)
    assert none == pytest.approx(0)


@pytest.mark.parametrize("limit", [10.0, 30.0])
def test_a_threshold_is_approached_softly(limit, references):
    loss = ThresholdedSNR(limit)
    assert_close(loss.compare(references, references), torch.full((2, 3), -limit).double())
    # Noise as large as the added share costs 3 dB.
    noisy = references + 10 ** (-limit / 20) * references.roll(1, 0)
    share = (noisy - references).square().sum((-2, -1)) / references.square().sum((-2, -1))
    expected = 10 * torch.log10(share + 10 ** (-limit / 10))
    assert_close(loss.compare(noisy, references), expected)
    bad = references + 10 * noise(2, 3, 2, 400)
    assert_close(loss.compare(bad, references), SNR().compare(bad, references), atol=0.01, rtol=0)


def test_what_is_better_than_a_limit_pulls_no_more_and_what_is_bad_does(references):
    loss = SISDR(limit=20.0)
    good = (references + 1e-3 * noise(2, 3, 2, 400)).requires_grad_()
    value = loss.compare(good, references)
    assert_close(value, torch.full_like(value, -20.0))
    value.sum().backward()
    assert not good.grad.any()
    bad = (1e3 * noise(2, 3, 2, 400).roll(7)).requires_grad_()
    value = loss.compare(bad, references)
    assert (value > 20).any()
    value.sum().backward()
    assert bad.grad.flatten(2).any(dim=-1).all()
