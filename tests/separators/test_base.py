import pytest
import torch

from soloist.errors import UsageError
from soloist.separators import Level, Separator
from toy_separators import Smoother


def test_a_separator_needs_distinct_sources():
    with pytest.raises(UsageError, match="distinct"):
        Separator(sources=("a", "a"), sample_rate=8000)


@pytest.mark.parametrize("shape", [(1, 100), (1, 2, 100), (1, 1, 0)])
def test_a_wrong_shape_is_named(shape):
    with pytest.raises(UsageError, match=r"\(batch, 1, samples\)"):
        Smoother()(torch.zeros(shape))


def test_level_is_taken_and_given_back():
    mixture = torch.randn(3, 2, 500) * 0.3 + 0.1
    level = Level.of(mixture)
    normalized = level.normalize(mixture)
    assert normalized.mean(dim=1).std(dim=-1).sub(1).abs().max() < 1e-4
    estimates = torch.stack([normalized * 0.25, normalized * 0.75], dim=1)
    torch.testing.assert_close(level.restore(estimates, 0.5).sum(dim=1), mixture, atol=1e-6, rtol=0)


@pytest.mark.parametrize("samples", [1, 2, 100])
@pytest.mark.parametrize("normalization", ["none", "track", "chunk"])
def test_silence_stays_silence_beside_what_sounds(samples, normalization):
    mixture = torch.stack([torch.zeros(1, samples), torch.ones(1, samples)])
    estimates = Smoother(normalization=normalization, bias=0.5)(mixture)
    assert estimates.shape == (2, 2, 1, samples)
    assert estimates[0].abs().max() == 0
    assert estimates[1].abs().max() > 0


def test_normalized_estimates_scale_with_the_mixture():
    separator = Smoother(normalization="chunk", bias=0.3)
    mixture = torch.randn(1, 1, 300)
    torch.testing.assert_close(separator(mixture * 0.01), separator(mixture) * 0.01, atol=1e-6, rtol=1e-4)
