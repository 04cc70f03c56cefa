"""Number of clusters, gaps between them, and the memory of clusters."""

from __future__ import annotations

import pytest
import torch

from soloist.estimation import ClusterMemory, GaussianMixture, KMeans, Start, measure_confidence
from soloist.estimation.clustering.cluster_confidence import sample_points, silhouette
from soloist.estimation.clustering.cluster_gaps import fit_some, measure_gaps


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def directions(number, dimensions=20, each=400, noise=0.2, seed=0):
    """Unit vectors around several directions, `(1, points, dimensions)`."""
    centres = torch.eye(number, dimensions).repeat(each, 1)
    points = centres + noise * torch.randn(len(centres), dimensions, generator=generator(seed))
    return torch.nn.functional.normalize(points, dim=-1)[None]


def all_of(points):
    return torch.ones(points.shape[:2])


@pytest.mark.parametrize("make", [KMeans, GaussianMixture])
@pytest.mark.parametrize("noise", [0.02, 0.2])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_finds_the_number_of_directions(make, noise, number):
    points = directions(number, noise=noise)
    fit = fit_some(make(), points, all_of(points), 4)
    assert fit.used.sum() == number
    assert fit.posteriors(points)[..., ~fit.used[0]].sum() == 0


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(1, 900, 1, generator=generator()),
        lambda: torch.randn(1, 900, 1, generator=generator()),
        lambda: torch.randn(1, 900, 3, generator=generator()),
        lambda: torch.rand(1, 900, 2, generator=generator()),
        lambda: -torch.rand(1, 900, 1, generator=generator()).log(),
        lambda: torch.ones(1, 10, 3),
        lambda: torch.ones(1, 1, 3),
    ],
)
def test_one_cloud_of_any_shape_is_one_cluster(draw):
    points = draw()
    assert fit_some(KMeans(), points, all_of(points), 4).used.sum() == 1


def test_each_item_has_a_number_of_its_own():
    points = torch.cat([directions(number, each=1200 // number) for number in (1, 3, 2)])
    assert fit_some(KMeans(), points, all_of(points), 3).used.sum(dim=1).tolist() == [1, 3, 2]
    nothing = fit_some(KMeans(), points, torch.zeros(points.shape[:2]), 3)
    assert not nothing.used.any()


def test_what_is_known_stays_though_it_has_no_points():
    points = directions(2)
    start = Start(torch.eye(4, 20)[[2, 1, 0, 0]][None], torch.tensor([[300.0, 300.0, 0.0, 0.0]]), None)
    start = Start(start.centres, start.mass, torch.tensor([[True, True, False, False]]))
    fit = fit_some(KMeans(), points, all_of(points), 4, start)
    # The third direction is silent, the second is known, and the first is new.
    assert fit.used.tolist() == [[True, True, True, False]]
    assert fit.centres[0].argmax(dim=1)[:3].tolist() == [2, 1, 0]


def test_gaps_are_deep_between_clouds_and_none_within_one():
    points = directions(2)
    fit = KMeans().fit(points, all_of(points), 2)
    assert measure_gaps(fit, points, all_of(points))[0, 0, 1] > 0.9
    one = directions(1)
    halves = KMeans().fit(one, all_of(one), 2)
    assert measure_gaps(halves, one, all_of(one))[0, 0, 1] < 0.2


def test_a_memory_holds_on_to_what_was_clear():
    for number, least, most in ((2, 150, 400), (1, 0, 1)):
        points = directions(number, each=800 // number)
        memory = ClusterMemory()
        memory.remember(KMeans().fit(points, all_of(points), 2), points, all_of(points))
        assert (memory.start.mass >= least).all()
        assert (memory.start.mass <= most).all()


def test_silhouettes_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    points = directions(3, each=50, noise=0.5)
    labels = KMeans().fit(points, all_of(points), 3).posteriors(points).argmax(dim=2)
    ours = silhouette(points, labels, all_of(points), 4)
    assert ours.item() == pytest.approx(metrics.silhouette_score(points[0], labels[0]), abs=1e-4)


def test_a_silhouette_of_a_lone_point_is_zero_and_of_one_cluster_is_nothing():
    points = torch.tensor([[[0.0], [0.1], [5.0]]])
    two = silhouette(points, torch.tensor([[0, 0, 1]]), torch.ones(1, 3), 2)
    assert two.item() == pytest.approx((4.9 / 5.0 + 4.8 / 4.9) / 3, abs=1e-3)
    assert silhouette(points, torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3), 2).isnan().all()


def test_a_sample_is_spread_over_what_counts():
    points = torch.arange(5000.0)[None, :, None]
    counted = (points[..., 0] % 2 == 0) & (points[..., 0] < 4000)
    sampled, weights = sample_points(points, counted, most=100)
    assert weights.sum() == 100
    assert (sampled % 2 == 0).all()
    assert sampled.unique().numel() == 100
    assert sampled.min() < 40
    assert 3900 < sampled.max() < 4000
    few, present = sample_points(points, points[..., 0] < 7, most=100)
    assert few[0, present[0] > 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_confidence_falls_with_noise_and_is_nothing_for_nothing():
    clear, unclear = (directions(2, noise=noise) for noise in (0.02, 0.3))
    both = torch.cat([clear, unclear])
    confidence = measure_confidence(KMeans().fit(both, all_of(both), 2), both, all_of(both))
    assert confidence.silhouette[0] > 0.9 > 0.3 > confidence.silhouette[1]
    assert confidence.posterior[0] > 0.95 > confidence.posterior[1]
    nothing = torch.zeros(2, both.shape[1])
    silent = measure_confidence(KMeans().fit(both, nothing, 2), both, nothing)
    assert silent.silhouette.isnan().all()
    assert silent.posterior.isnan().all()
    single = measure_confidence(KMeans().fit(clear, all_of(clear), 1), clear, all_of(clear))
    assert single.posterior == 1
