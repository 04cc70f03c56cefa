"""Clusters of level and phase are sources."""

from __future__ import annotations

import pytest

from soloist.errors import UsageError
from soloist.estimation.clustering import GaussianMixture, SoftKMeans
from soloist.separators.training_free.spatial_clustering import SpatialClustering
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


@pytest.mark.parametrize(
    "options", [{"channels": 1}, {"percentile": 100.0}, {"percentile": -1.0}, {"max_delay": 0.0}]
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(UsageError):
        SpatialClustering(**options)
