"""What every separator by place in the stereo image promises, whatever its rule."""

from __future__ import annotations

import pytest
import torch

from soloist.separators import Chunking, Duet, Projet, SpatialClustering, separate_chunked
from stereo_mixtures import RATE, improvements, talkers_at

SEPARATORS = {
    "duet": Duet,
    "duet-three": lambda **options: Duet(3, **options),
    "projet": lambda **options: Projet(iterations=20, **options),
    "spatial-clustering": SpatialClustering,
    "spatial-clustering-three": lambda **options: SpatialClustering(3, max_delay=3.0, **options),
}


@pytest.fixture(params=SEPARATORS.values(), ids=SEPARATORS.keys())
def build(request):
    """Builds one of the separators for a sample rate."""
    return request.param


@pytest.mark.parametrize("length", [1, 2, 511, 4001])
def test_any_length_comes_back_finite_and_sums_to_the_mixture(build, length):
    mixture = torch.randn(1, 2, length)
    estimates = build(sample_rate=RATE)(mixture)
    assert estimates.shape[-1] == length
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-4, rtol=0)


@pytest.mark.parametrize("length", [1, 20_000])
def test_silence_stays_silent(build, length):
    assert not build(sample_rate=RATE)(torch.zeros(1, 2, length)).any()


@pytest.mark.parametrize("quiet", [0, 1, slice(0, 2)])
def test_silent_channels_and_silence_within_make_no_nan(build, quiet):
    mixture = torch.randn(1, 2, 16_000)
    mixture[:, quiet, 4000:12_000] = 0
    estimates = build(sample_rate=RATE)(mixture)
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-4, rtol=0)
    mixture[:, 1] = 0
    assert build(sample_rate=RATE)(mixture).isfinite().all()


def test_a_batch_equals_its_items_one_by_one(build):
    separator = build(sample_rate=RATE)
    mixtures = torch.randn(2, 2, 12_000) * torch.tensor([1.0, 0.01])[:, None, None]
    one_by_one = torch.cat([separator(mixture[None]) for mixture in mixtures])
    torch.testing.assert_close(separator(mixtures), one_by_one, atol=1e-5, rtol=0)


def test_the_same_input_gives_the_same_output_from_another_instance(build):
    mixture = torch.randn(1, 2, 12_000)
    first = build(sample_rate=RATE)(mixture)
    torch.rand(3)  # The state of the global generator does not matter.
    assert torch.equal(build(sample_rate=RATE)(mixture), first)


@pytest.mark.parametrize("sample_rate", [4000, 11_025, 96_000])
def test_any_sample_rate_will_do(build, sample_rate):
    assert build(sample_rate=sample_rate)(torch.randn(1, 2, sample_rate // 4)).isfinite().all()


@pytest.mark.parametrize("build", [Duet, Projet, SpatialClustering])
def test_chunks_agree_about_who_is_who(build):
    references = talkers_at((-6, 0), (6, 0), seconds=4.0)
    separator = build(sample_rate=RATE)
    chunking = Chunking.of(separator, length=2 * RATE)
    estimates = separate_chunked(separator, references.sum(dim=1), chunking, ordered=separator.ordered)
    assert min(improvements(references, estimates)) > 9
