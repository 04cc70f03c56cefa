"""How good estimates are while a training goes on."""

import pytest
import torch

from soloist.training import measure_quality
from soloist.training.loop.quality import QUALITY


@pytest.fixture
def references():
    return torch.randn(3, 2, 1, 800, generator=torch.Generator().manual_seed(0))


def test_the_mixture_improves_nothing(references):
    mixture = references.sum(dim=1)
    estimates = mixture[:, None].expand_as(references)
    quality = measure_quality(references, estimates, mixture, ordered=True)
    assert set(quality) == set(QUALITY)
    assert quality["si_sdri"].abs().max() < 1e-5
    assert quality["sdri"].abs().max() < 1e-5


def test_the_order_counts_only_where_it_means_something(references):
    mixture, estimates = references.sum(dim=1), references.flip(1) + 0.1 * references
    assert measure_quality(references, estimates, mixture, ordered=False)["sdri"].min() > 5
    assert measure_quality(references, estimates, mixture, ordered=True)["sdri"].max() < 0


def test_silence_has_no_figures_and_does_not_spoil_the_others(references):
    references[0, 1] = 0
    mixture, estimates = references.sum(dim=1), references + 0.1
    quality = measure_quality(references, estimates, mixture, ordered=True)
    for name, scores in quality.items():
        assert scores[0, 1].isnan()
        assert scores[1:].isfinite().all()
        # Alone, the other source is the mixture already: it has a ratio, but nothing to improve.
        assert scores[0, 0].isnan() == name.endswith("i")
