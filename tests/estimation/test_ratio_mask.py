import pytest
import torch

from soloist.errors import UsageError
from soloist.estimation import RatioMask

POINTS = (2, 3, 2, 9, 5)


def mixture():
    return torch.randn(2, 2, 9, 5, dtype=torch.complex64)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 2.7])
def test_the_mixture_is_shared_in_proportion_to_powers(exponent):
    mixed, magnitudes = mixture(), torch.rand(POINTS)
    masks = RatioMask(exponent)(mixed, magnitudes) / mixed[:, None]
    expected = magnitudes**exponent / (magnitudes**exponent).sum(dim=1, keepdim=True)
    torch.testing.assert_close(masks.real, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(masks.imag, torch.zeros(POINTS), rtol=0, atol=1e-6)


def test_silent_sources_share_equally():
    mixed = mixture()
    estimates = RatioMask()(mixed, torch.zeros(POINTS))
    torch.testing.assert_close(estimates, (mixed / 3)[:, None].expand(POINTS))


def test_bins_above_the_band_get_the_mean_of_the_masks_below_or_nothing():
    mixed, magnitudes = mixture(), torch.rand(POINTS)
    magnitudes[..., 6:, :] = 0
    averaged = RatioMask(num_bins=6)(mixed, magnitudes)
    torch.testing.assert_close(averaged.sum(dim=1), mixed)
    masks = (averaged / mixed[:, None]).real
    mean = masks[..., :6, :].mean(dim=-2, keepdim=True)
    torch.testing.assert_close(masks[..., 6:, :], mean.expand(2, 3, 2, 3, 5))
    silent = RatioMask(num_bins=6, extension="zeros")(mixed, magnitudes)
    assert torch.equal(silent[..., :6, :], averaged[..., :6, :])
    assert not silent[..., 6:, :].abs().any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exponent": 0.0}, "exponent 0 and eps"),
        ({"eps": -1.0}, "must be positive"),
        ({"num_bins": 0}, "num_bins 0 must be at least 1"),
        ({"extension": "ones"}, "'ones' is none of average, zeros"),
    ],
)
def test_what_is_out_of_range_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        RatioMask(**options)
