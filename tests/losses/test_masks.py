import pytest
import torch
from torch.testing import assert_close

from soloist.losses import ComponentLoss, MaskLoss, Prediction
from soloist.transforms import STFT

STFT_16 = STFT(16, 8)


def magnitudes(audio):
    return STFT_16(audio.flatten(0, 1)).abs().unflatten(0, audio.shape[:2])


def said(mixture, masks):
    return Prediction(mixture, lambda: 1 / 0, analyze=STFT_16, masks=masks)


@pytest.fixture
def references():
    return torch.randn(2, 3, 2, 50)


def test_the_ideal_mask_is_the_best(references):
    mixture = references.sum(dim=1)
    ideal = (magnitudes(references) / magnitudes(mixture[:, None])).clamp(max=1)
    assert_close(MaskLoss("l1")(said(mixture, ideal), references), torch.zeros(2))
    shifted = MaskLoss("l1")(said(mixture, ideal + 0.25), references)
    assert_close(shifted, torch.full((2,), 0.25))


def test_components_are_weighed_as_defined(references):
    mixture, masks = references.sum(dim=1), torch.rand(2, 3, 2, 9, 8)
    source, rest = magnitudes(references), magnitudes(mixture[:, None] - references)
    axes = (2, 3, 4)

    def unit(values):
        return values / values.square().sum(axes, keepdim=True).sqrt()

    kept = (masks * source - source).square().mean(axes)
    left = (masks * rest).square().mean(axes)
    colour = (unit(masks * rest) - unit(rest)).square().mean(axes)
    expected = (0.3 * kept + 0.5 * left + 0.2 * colour).mean(dim=1)
    assert_close(ComponentLoss(0.5, 0.2)(said(mixture, masks), references), expected)


def test_the_rest_is_what_the_mixture_is_without_the_source(references):
    """Optionally the difference of magnitudes, which differs from the signal if phases differ."""
    mixture, masks = references.sum(dim=1), torch.rand(2, 3, 2, 9, 8)
    source, whole = magnitudes(references), magnitudes(mixture[:, None])
    left = ComponentLoss(1.0, 0.0, rest="magnitudes")(said(mixture, masks), references)
    assert_close(left, (masks * (whole - source)).square().mean(dim=(1, 2, 3, 4)))
    assert (ComponentLoss(1.0, 0.0)(said(mixture, masks), references) != left).all()


def test_a_source_without_a_rest_costs_nothing_but_what_is_taken_of_it():
    alone = torch.randn(2, 1, 1, 50)
    silent = torch.zeros_like(alone)
    references = torch.cat([alone, silent], dim=1)
    masks = torch.cat([torch.ones(2, 1, 1, 9, 8), torch.zeros(2, 1, 1, 9, 8)], dim=1)
    value = ComponentLoss(0.3, 0.0)(said(alone[:, 0], masks), references)
    assert_close(value, torch.zeros(2))
    sounding = ComponentLoss(0.3, 0.3)(said(alone[:, 0], masks), references)
    assert sounding.isfinite().all()
