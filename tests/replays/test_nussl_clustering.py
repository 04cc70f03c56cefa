"""nussl's masks from clusters against the recorded ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from replays import from_reference
from soloist.errors import ModelError
from soloist.estimation import GaussianMixture, KMeans, loudest
from soloist.transforms import STFT

CONFIG = {
    "system": "nussl 1.1.9",
    "kind": "clustering",
    "class": "ClusteringSeparationBase",
    "args": {},
    "sample_rate": 8000,
    "stft": [256, 64, "sqrt_hann"],
    "num_sources": 3,
}
BINS, FRAMES = 129, 33


@pytest.fixture(scope="module")
def audio():
    return torch.randn(2, 2048, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def features():
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(3, 5, generator=generator)
    labels = torch.randint(3, (BINS, FRAMES, 2), generator=generator)
    return centres[labels] + 0.3 * torch.randn(BINS, FRAMES, 2, 5, generator=generator)


@pytest.fixture(scope="module")
def vector(shared):
    with np.load(shared / "reference" / "nussl" / "clustering.npz") as stored:
        return dict(stored)


def test_meets_the_vector(vector):
    pytest.importorskip("sklearn")
    separate = from_reference(json.loads(str(vector["config"])), {})
    outputs = separate(*(torch.from_numpy(vector[name]) for name in ("input", "features", "init_centers")))
    expected = {name.removeprefix("output/"): vector[name] for name in vector if name.startswith("output/")}
    assert outputs.keys() == expected.keys()
    for name, masks in outputs.items():
        assert masks.shape == expected[name].shape
        assert np.abs(masks.numpy() - expected[name]).max() < 1e-7


@pytest.mark.parametrize(
    ("run", "clusterer", "percentile", "key"),
    [
        ("kmeans", KMeans(floor=1e-8), 90, "centers"),
        ("kmeans_beta1_p50_binary", KMeans(exponent=1.0, floor=1e-8), 50, "centers"),
        ("gmm", GaussianMixture(), 90, "means"),
    ],
)
def test_our_own_clusterers_find_the_same_centres_in_the_same_points(vector, run, clusterer, percentile, key):
    stft = STFT(256, 64, "sqrt_hann", pad_mode="constant", scaled=True)
    magnitudes = stft(torch.from_numpy(vector["input"])[None])[0].abs().movedim(0, -1).reshape(1, -1)
    points = torch.from_numpy(vector["features"]).reshape(1, -1, 4)
    counted = loudest(magnitudes, percentile)
    assert counted.sum() == vector[f"mid/{run}/n_points"]
    fit = clusterer.fit(points, counted, 2)
    expected = torch.from_numpy(vector[f"mid/{run}/{key}"]).float()
    order = torch.cdist(expected, fit.centres[0]).argmin(dim=1)
    assert sorted(order.tolist()) == [0, 1]
    torch.testing.assert_close(fit.centres[0, order], expected, atol=2e-3, rtol=0)
    masks = torch.from_numpy(vector[f"output/{run}/masks"]).float().reshape(-1, 2)
    found = fit.posteriors(points)[0, :, order]
    if "binary" in run:
        assert ((found == found.amax(dim=1, keepdim=True)) == masks.bool()).float().mean() > 0.999
    else:
        torch.testing.assert_close(found, masks, atol=5e-3, rtol=0)


def test_given_centres_need_no_clustering(audio, features):
    centres = torch.randn(3, 5, generator=torch.Generator().manual_seed(2))
    config = CONFIG | {"args": {"init": "stored", "fit_clusterer": False, "beta": 2.0}}
    masks = from_reference(config, {})(audio, features, centres)["masks"]
    distances = np.linalg.norm(features.numpy()[..., None, :] - centres.numpy(), axis=-1)
    shares = np.exp(-2.0 * distances) + 1e-8
    np.testing.assert_allclose(masks.numpy(), shares / shares.sum(axis=-1, keepdims=True), atol=1e-6)


def test_binary_masks_as_there_in_double_precision(audio, features):
    """Points so far from all centres that only the floor is left belong to all; no nearer point does."""
    centres = torch.randn(3, 5, generator=torch.Generator().manual_seed(2))
    # nussl takes upper and lower case, and stores a threshold that it never reads.
    options = {"init": centres.tolist(), "fit_clusterer": False, "mask_type": "Binary", "mask_threshold": 0.5}
    masks = from_reference(CONFIG | {"args": options | {"beta": 30.0}}, {})(audio, features)["masks"]
    points = features.double().numpy()[..., None, :]
    shares = np.exp(-30.0 * np.linalg.norm(points - centres.double().numpy(), axis=-1)) + 1e-8
    expected = shares == shares.max(axis=-1, keepdims=True)
    assert expected.sum(axis=-1).max() > 1
    assert np.array_equal(masks.numpy(), expected)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_mixtures_of_every_covariance_are_those_of_scikit_learn(kind, audio, features):
    mixture = pytest.importorskip("sklearn.mixture")
    options = {"covariance_type": kind, "random_state": 3}
    config = CONFIG | {"args": {"clustering_type": "GaussianMixture", "percentile": 70, **options}}
    masks = from_reference(config, {})(audio, features)["masks"]
    stft = STFT(256, 64, "sqrt_hann", pad_mode="constant", scaled=True)
    magnitudes = stft(audio[None])[0].abs().movedim(0, -1).numpy()
    chosen = features.numpy()[magnitudes >= np.percentile(magnitudes, 70)]
    expected = (
        mixture.GaussianMixture(3, **options).fit(chosen).predict_proba(features.numpy().reshape(-1, 5))
    )
    np.testing.assert_allclose(masks.numpy().reshape(-1, 3), expected, atol=1e-4)


def test_other_ways_of_k_means_too(audio, features):
    pytest.importorskip("sklearn")
    runs = {
        "mini": {"clustering_type": "MiniBatchKMeans", "random_state": 0, "n_init": 3},
        "begun": {"init": "stored", "n_init": 1, "mask_type": "binary"},
    }
    outputs = from_reference(CONFIG | {"runs": runs}, {})(audio, features, features[0, :3, 0])
    assert outputs["mini/masks"].shape == (BINS, FRAMES, 2, 3)
    assert set(outputs["begun/masks"].unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(outputs["mini/masks"].sum(dim=-1), torch.ones(BINS, FRAMES, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clustering_type": "DBSCAN"}, "DBSCAN"),
        ({"n_inti": 3}, "n_inti"),
        ({"init": "stored"}, "centres"),
    ],
)
def test_what_is_not_known_is_named(arguments, message, audio, features):
    pytest.importorskip("sklearn")
    with pytest.raises(ModelError, match=message):
        from_reference(CONFIG | {"args": arguments}, {})(audio, features)


def test_there_are_no_weights():
    with pytest.raises(ModelError, match="weights"):
        from_reference(CONFIG, {"centres": torch.zeros(2, 3)})
