"""Templates of a factorisation, clustered by timbre."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.estimation import GaussianMixture, align_sources
from soloist.separators import TimbreClustering
from soloist.separators.training_free.nmf import divergence_gradients, factorize
from stereo_mixtures import improvements

RATE = 8000


def dull_and_bright() -> torch.Tensor:
    """Five dull and five bright notes at random times, `(1, 2, 1, samples)`."""
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(4 * RATE) / RATE
    sources = torch.zeros(2, 4 * RATE)
    for source, partials in enumerate((range(1, 4), range(6, 16))):
        for note in range(5):
            pitch = 150 * 2 ** (note / 6)
            tone = sum((2 * torch.pi * pitch * partial * times).sin() / len(partials) for partial in partials)
            for start in torch.rand(3, generator=generator) * 3.5:
                sources[source] += tone * ((times > start) & (times < start + 0.4))
    return 0.1 * sources[None, :, None]


def test_notes_of_two_timbres_are_told_apart_whatever_their_pitch():
    references = dull_and_bright()
    separator = TimbreClustering(sample_rate=RATE, channels=1, components=20)
    assert min(improvements(references, separator(references.sum(dim=1)))) > 6


def test_any_clusterer_will_do():
    mixture = dull_and_bright().sum(dim=1)
    estimates = TimbreClustering(3, sample_rate=RATE, channels=1, clusterer=GaussianMixture())(mixture)
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-5, rtol=0)


def test_a_factorisation_finds_the_factors_of_what_has_them():
    generator = torch.Generator().manual_seed(0)
    templates = torch.rand(1, 30, 3, generator=generator) ** 6
    activations = torch.rand(1, 3, 80, generator=generator) ** 6
    observed = 100 * templates @ activations
    found, when = factorize(observed, 3, iterations=500)
    assert ((found @ when - observed).norm() / observed.norm()) < 0.02
    torch.testing.assert_close(found.sum(dim=1), torch.ones(1, 3))
    assert min(found.min(), when.min()) >= 0


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_the_parts_of_the_gradient_differ_by_the_gradient(beta):
    generator = torch.Generator().manual_seed(0)
    observed, model = torch.rand(2, 5, 7, dtype=torch.float64, generator=generator).add(0.1)
    model.requires_grad_()
    if beta == 0:
        divergence = observed / model - (observed / model).log()
    elif beta == 1:
        divergence = model - observed * model.log()
    else:
        divergence = model**beta / beta - observed * model ** (beta - 1) / (beta - 1)
    (gradient,) = torch.autograd.grad(divergence.sum(), model)
    pull, push = divergence_gradients(observed, model.detach(), beta)
    torch.testing.assert_close(push - pull, gradient)


@pytest.mark.parametrize("options", [{"beta": 0.0}, {"beta": 2.0}, {"components": 2}, {"coefficients": 39}])
@pytest.mark.parametrize("length", [1, 700, 9000])
def test_any_length_comes_back_and_adds_up(options, length):
    mixture = torch.randn(2, 2, length)
    separator = TimbreClustering(sample_rate=RATE, channels=2, iterations=5, **options)
    torch.testing.assert_close(separator(mixture).sum(dim=1), mixture, atol=1e-4, rtol=0)
    assert not separator(torch.zeros(1, 2, length)).any()


@pytest.mark.parametrize("sample_rate", [4000, 11_025, 48_000, 96_000])
def test_any_sample_rate_will_do(sample_rate):
    separator = TimbreClustering(sample_rate=sample_rate, channels=1, iterations=2)
    assert separator(torch.randn(1, 1, sample_rate // 4)).isfinite().all()


def test_items_and_levels_are_separated_by_themselves():
    separator = TimbreClustering(sample_rate=RATE, channels=1, components=8, iterations=10)
    mixture = dull_and_bright().sum(dim=1)[..., :RATE]
    both = torch.cat([mixture, mixture.flip(-1) * 2**-10])
    one_by_one = torch.cat([separator(item[None]) for item in both])
    aligned = align_sources(separator(both), one_by_one, slice(None))  # Clusters have no order.
    torch.testing.assert_close(aligned, one_by_one, atol=1e-5, rtol=0)
    torch.testing.assert_close(separator(mixture * 2**-10) * 2**10, separator(mixture), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "options",
    [{"num_sources": 0}, {"components": 1}, {"coefficients": 40}, {"coefficients": 0}, {"iterations": 0}],
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(UsageError):
        TimbreClustering(**options)
