"""Clusters of level and phase are sources."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.estimation import GaussianMixture, SoftKMeans
from soloist.separators import SpatialClustering
from stereo_mixtures import RATE, improvements, talkers_at


@pytest.mark.parametrize(
    ("places", "max_delay"),
    [
        ([(-6, 0), (6, 0)], 1.0),
        ([(-20, 0), (0, 0)], 1.0),
        ([(-3, 1.5), (3, -1.5)], 2.0),
        ([(0, 2), (0, -2)], 3.0),
        ([(-8, 0), (0, 0), (8, 0)], 1.0),
    ],
)
def test_it_separates_talkers_by_level_and_delay(places, max_delay):
    references = talkers_at(*places)
    separator = SpatialClustering(len(places), sample_rate=RATE, max_delay=max_delay)
    assert min(improvements(references, separator(references.sum(dim=1)))) > 10


@pytest.mark.parametrize("clusterer", [SoftKMeans(), GaussianMixture()])
def test_any_clusterer_will_do(clusterer):
    references = talkers_at((-6, 0), (6, 0))
    separator = SpatialClustering(sample_rate=RATE, clusterer=clusterer)
    assert min(improvements(references, separator(references.sum(dim=1)))) > 10


def test_what_sounds_only_where_delays_are_ambiguous_is_not_lost():
    tone = (torch.pi * 0.9 * torch.arange(8000)).sin()
    mixture = torch.stack([tone, 0.5 * tone])[None]
    estimates = SpatialClustering(sample_rate=RATE, max_delay=4.0)(mixture)
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "options",
    [{"channels": 1}, {"percentile": 100.0}, {"percentile": -1.0}, {"max_delay": 0.0}, {"max_delay": 5000.0}],
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(UsageError):
        SpatialClustering(**options)
