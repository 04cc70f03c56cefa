"""Clusterers: clusters, missing clusters, and repeatable results."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.estimation import GaussianMixture, KMeans, SoftKMeans, Start

CLUSTERERS = {
    "kmeans": KMeans,
    "soft": lambda **options: SoftKMeans(exponent=5.0, **options),
    **{
        kind: lambda kind=kind, **options: GaussianMixture(kind, **options)
        for kind in ("full", "tied", "diagonal", "spherical")
    },
}
every_clusterer = pytest.mark.parametrize("make", CLUSTERERS.values(), ids=CLUSTERERS.keys())


def generator(seed):
    return torch.Generator().manual_seed(seed)


def blobs(batch=2, clusters=3, each=60, dimensions=5, spread=0.1, seed=0, offset=0.0):
    """Points around centres far apart, and the centres."""
    draws = generator(seed)
    centres = torch.eye(clusters, dimensions).repeat(batch, 1, 1) * 2 + offset
    noise = torch.randn(batch, clusters, each, dimensions, generator=draws) * spread
    points = (centres[:, :, None] + noise).flatten(1, 2)
    order = torch.randperm(clusters * each, generator=draws)
    return points[:, order], centres


def all_of(points):
    return torch.ones(points.shape[:2], dtype=torch.bool)


def in_order(found, expected):
    """Indices of the found centres nearest to the expected ones."""
    return torch.cdist(expected, found).argmin(dim=2)


@every_clusterer
def test_finds_the_centres_of_clear_clusters(make):
    points, centres = blobs()
    fit = make().fit(points, all_of(points), 3)
    order = in_order(fit.centres, centres)
    assert (order.sort(dim=1).values == torch.arange(3)).all()
    found = torch.take_along_dim(fit.centres, order[..., None], dim=1)
    assert (found - centres).abs().max() < 0.06
    assert fit.used.all()
    torch.testing.assert_close(fit.mass, torch.full((2, 3), 60.0), atol=0.5, rtol=0)
    nearest = torch.cdist(points, fit.centres).argmin(dim=2)
    assert (fit.posteriors(points).argmax(dim=2) == nearest).all()


@every_clusterer
@given(
    number=st.integers(1, 12),
    clusters=st.integers(1, 6),
    kind=st.sampled_from(["random", "equal", "zero", "two"]),
    uncounted=st.integers(0, 12),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=st.integers(0, 5),
)
def test_whatever_comes_posteriors_add_up_to_one_or_nothing(
    make, number, clusters, kind, uncounted, scale, seed
):
    points = torch.randn(1, number, 3, generator=generator(seed))
    points = {
        "random": points,
        "equal": points[:, :1].expand_as(points),
        "zero": points * 0,
        "two": points[:, torch.arange(number) % min(2, number)],
    }[kind] * scale
    counted = all_of(points)
    counted[:, :uncounted] = False
    fit = make(restarts=2).fit(points, counted, clusters)
    different = len(points[0][counted[0]].unique(dim=0))
    assert fit.used.sum() <= min(clusters, different)
    assert fit.used.any() == counted.any()
    assert fit.centres.isfinite().all()
    posteriors = fit.posteriors(points)
    assert posteriors.isfinite().all()
    assert (posteriors >= 0).all()
    assert (posteriors[..., ~fit.used[0]] == 0).all()
    expected = torch.full((1, number), float(counted.any()))
    torch.testing.assert_close(posteriors.sum(dim=2), expected)


@every_clusterer
def test_an_item_does_not_depend_on_those_beside_it(make):
    points, _ = blobs(batch=3, spread=0.8)
    points[1] = torch.randn(180, 5, generator=generator(1))
    counted = torch.rand(3, 180, generator=generator(2)) < torch.tensor([[0.9], [0.5], [0.2]])
    together = make().fit(points, counted, 3).posteriors(points)
    alone = [make().fit(points[[i]], counted[[i]], 3).posteriors(points[[i]]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=2e-4, rtol=0)


@every_clusterer
def test_the_same_points_give_the_same_clusters(make):
    points, _ = blobs(spread=1.0)
    first, second = (make().fit(points, all_of(points), 4) for _ in range(2))
    assert torch.equal(first.centres, second.centres)


@every_clusterer
def test_points_that_do_not_count_change_nothing(make):
    points, _ = blobs()
    counted = all_of(points)
    counted[:, ::3] = False
    moved = torch.where(counted[..., None], points, 1e4)
    first, second = (make().fit(cloud, counted, 3) for cloud in (points, moved))
    assert torch.equal(first.centres, second.centres)


@every_clusterer
def test_a_weight_counts_like_copies(make):
    points, _ = blobs(batch=1, each=20, spread=0.5)
    weights = torch.randint(1, 4, points.shape[:2], generator=generator(3))
    copies = points[0].repeat_interleave(weights[0], dim=0)[None]
    start = Start.at(points[:, :3])
    weighted = make(restarts=0).fit(points, weights.float(), 3, start)
    copied = make(restarts=0).fit(copies, all_of(copies), 3, start)
    torch.testing.assert_close(weighted.centres, copied.centres, atol=1e-3, rtol=0)


@every_clusterer
def test_far_from_the_origin_nothing_is_lost(make):
    near, _ = blobs(spread=0.02)
    far = near + 1000
    fits = [make().fit(points, all_of(points), 3) for points in (near, far)]
    torch.testing.assert_close(fits[1].centres - 1000, fits[0].centres, atol=2e-3, rtol=0)


@every_clusterer
def test_a_limit_leaves_clusters_unused(make):
    points, _ = blobs(batch=3)
    fit = make().fit(points, all_of(points), 3, limit=torch.tensor([1, 2, 3]))
    assert fit.used.sum(dim=1).tolist() == [1, 2, 3]
    assert (fit.posteriors(points)[0, :, 0] == 1).all()


@every_clusterer
def test_a_start_keeps_its_order_and_what_has_no_points(make):
    points, centres = blobs(batch=1)
    without_second = points[:, torch.cdist(points, centres)[0].argmin(dim=1) != 1]
    start = Start(centres.flip(1) + 0.1, torch.full((1, 3), 20.0), torch.ones(1, 3, dtype=torch.bool))
    fit = make().fit(without_second, all_of(without_second), 3, start)
    assert in_order(fit.centres, centres).tolist() == [[2, 1, 0]]
    torch.testing.assert_close(fit.centres[0, 1], centres[0, 1] + 0.1, atol=0.02, rtol=0)


@every_clusterer
def test_a_start_that_was_wrong_does_not_last(make):
    points, centres = blobs(batch=1)
    # The second source was not known yet, and the first one was split.
    halves = torch.stack([centres[0, 0] - 0.05, centres[0, 0] + 0.05, centres[0, 2]])[None]
    start = Start(halves, torch.full((1, 3), 10.0), torch.ones(1, 3, dtype=torch.bool))
    fit = make().fit(points, all_of(points), 3, start)
    assert sorted(in_order(fit.centres, centres)[0].tolist()) == [0, 1, 2]
    assert in_order(fit.centres, centres)[0, 2] == 2


@every_clusterer
def test_what_is_not_known_is_found(make):
    points, centres = blobs(batch=1)
    start = Start(centres * torch.tensor([0.0, 1.0, 0.0])[:, None], torch.tensor([[0.0, 10.0, 0.0]]), None)
    start = Start(start.centres, start.mass, torch.tensor([[False, True, False]]))
    fit = make().fit(points, all_of(points), 3, start)
    order = in_order(fit.centres, centres)
    assert sorted(order[0].tolist()) == [0, 1, 2]
    assert order[0, 1] == 1


@pytest.mark.parametrize("kind", ["full", "tied", "diagonal", "spherical"])
def test_a_mixture_is_that_of_scikit_learn(kind):
    mixture = pytest.importorskip("sklearn.mixture")
    points, _ = blobs(batch=1, clusters=2, each=300, spread=0.7)
    points[..., 0] *= 3
    points[..., 1] += 0.5 * points[..., 0]
    ours = GaussianMixture(kind, likelihood_tolerance=1e-6, iterations=500).fit(points, all_of(points), 2)
    theirs = mixture.GaussianMixture(
        2,
        covariance_type={"diagonal": "diag"}.get(kind, kind),
        tol=1e-6,
        max_iter=500,
        means_init=ours.centres[0],
    ).fit(points[0].numpy())
    expected = torch.from_numpy(theirs.predict_proba(points[0].numpy())).float()
    torch.testing.assert_close(ours.posteriors(points)[0], expected, atol=2e-2, rtol=0)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_a_mixture_of_points_that_do_not_fill_their_dimensions(kind):
    """Such as embeddings of a short file, or of units that are never active."""
    line = torch.linspace(-3, 3, 301)[None, :, None] * torch.randn(1, 1, 40, generator=generator(0))
    fit = GaussianMixture(kind, restarts=1).fit(line, all_of(line), 2)
    labels = fit.posteriors(line)[0].argmax(dim=1)
    assert labels[0] != labels[-1]
    assert labels.diff().count_nonzero() == 1


def test_k_means_is_as_good_as_that_of_scikit_learn():
    cluster = pytest.importorskip("sklearn.cluster")
    points = torch.randn(1, 500, 6, generator=generator(4))
    ours = KMeans(restarts=10).fit(points, all_of(points), 5)
    theirs = cluster.KMeans(5, n_init=10, random_state=0).fit(points[0].numpy())
    inertia = torch.cdist(points, ours.centres).amin(dim=2).square().sum()
    assert inertia < 1.02 * theirs.inertia_


def test_the_posteriors_of_k_means_are_nussl_s_rule():
    points = torch.randn(1, 40, 3, generator=generator(5))
    fit = KMeans(exponent=2.0, floor=1e-8).fit(points, all_of(points), 3)
    distances = np.linalg.norm(points[0].numpy()[:, None] - fit.centres[0].numpy()[None], axis=-1)
    shares = np.exp(-2.0 * distances) + 1e-8
    expected = shares / shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fit.posteriors(points)[0].numpy(), expected, atol=1e-6)


def test_soft_centres_are_the_means_of_their_posteriors():
    points, _ = blobs(batch=1, spread=0.6)
    fit = SoftKMeans(exponent=1.0, tolerance=1e-12, iterations=1000).fit(points, all_of(points), 3)
    posteriors = fit.posteriors(points)
    means = posteriors.mT @ points / posteriors.sum(dim=1)[..., None]
    torch.testing.assert_close(means, fit.centres, atol=1e-4, rtol=0)


def test_posteriors_can_be_trained_through():
    points, _ = blobs(batch=1)
    points.requires_grad_()
    fit = KMeans().fit(points, all_of(points), 3)
    fit.posteriors(points)[..., 0].sum().backward()
    assert points.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "options", [{"restarts": -1}, {"iterations": 0}, {"tolerance": -1.0}, {"exponent": -1.0}, {"floor": -1.0}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(UsageError):
        KMeans(**options)


def test_an_unknown_covariance_is_named():
    with pytest.raises(UsageError, match="diag'"):
        GaussianMixture("diag")


@pytest.mark.parametrize("shape", [(2, 10), (2, 11, 3)])
def test_shapes_are_checked(shape):
    with pytest.raises(UsageError, match="points"):
        KMeans().fit(torch.zeros(shape), torch.ones(2, 10), 2)
    with pytest.raises(UsageError, match="start"):
        KMeans().fit(torch.zeros(1, 10, 3), torch.ones(1, 10), 2, Start.at(torch.zeros(1, 3, 3)))
