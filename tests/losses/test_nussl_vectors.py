"""Losses on embeddings, and permutations, compared with values of nussl's code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from einops import rearrange
from torch.testing import assert_close

from soloist.losses import (
    SISDR,
    SNR,
    DeepClustering,
    PermutationInvariant,
    Prediction,
    SpectrogramDivergence,
    WaveformLoss,
    WhitenedKMeans,
)
from soloist.losses.energy_ratios import inner


class Vectors:
    """Arrays, with the axis of sources moved to its place."""

    def __init__(self, path):
        self.arrays = np.load(path)

    def __getitem__(self, name):
        return torch.from_numpy(np.asarray(self.arrays[name]))

    def audio(self, name):
        return rearrange(self[name], "b c t s -> b s c t")

    def magnitudes(self, name):
        """Points of a spectrogram in the place of samples."""
        return rearrange(self[name], "b t f c s -> b s c (t f)")

    def points(self, name):
        """Each point as an item of its own."""
        return rearrange(self[name], "b t f c s -> (b t f c) s 1 1")


@pytest.fixture(scope="module")
def vectors(shared):
    return Vectors(shared / "reference/nussl/losses.npz")


def least(loss, estimates, references, **options):
    prediction = Prediction(references.sum(1), lambda: estimates)
    return PermutationInvariant(loss, **options)(prediction, references).mean()


@pytest.mark.parametrize(
    ("name", "loss"),
    [("DeepClusteringLoss", DeepClustering()), ("WhitenedKMeansLoss", WhitenedKMeans(as_released=True))],
)
def test_embeddings(vectors, name, loss):
    embeddings, assignments = (vectors[key].flatten(1, -2) for key in ("embedding", "assignments"))
    value = loss.compare(embeddings, assignments, vectors["weights"].flatten(1)).mean()
    assert_close(value, vectors[f"output/{name}"], rtol=1e-5, atol=0)


@pytest.mark.parametrize(("name", "distance"), [("L1", "l1"), ("MSE", "mse")])
def test_distances(vectors, name, distance):
    loss = WaveformLoss(distance)
    estimates, references = vectors.magnitudes("estimates"), vectors.magnitudes("source_magnitudes")
    value = loss(Prediction(references.sum(1), lambda: estimates), references).mean()
    assert_close(value, vectors[f"output/{name}Loss"], rtol=1e-5, atol=0)


def test_divergence_of_magnitudes(vectors):
    """In nussl, louder is always better; the difference of the means in ours prevents it."""
    estimates, references = vectors.magnitudes("estimates"), vectors.magnitudes("source_magnitudes")
    prediction = Prediction(
        references.sum(1), lambda: 1 / 0, analyze=lambda audio: audio, coefficients=estimates
    )
    released, ours = (
        SpectrogramDivergence(as_released=flag)(prediction, references).mean() for flag in (1, 0)
    )
    assert_close(released, vectors["output/KLDivLoss"], rtol=1e-5, atol=0)
    assert_close(ours - released, (estimates - references).mean())
    perfect = Prediction(
        references.sum(1), lambda: 1 / 0, analyze=lambda audio: audio, coefficients=references
    )
    assert_close(SpectrogramDivergence()(perfect, references), torch.zeros(3))


@pytest.mark.parametrize(("name", "distance"), [("L1", "l1"), ("MSE", "mse")])
def test_there_each_point_has_an_order_of_its_own(vectors, name, distance):
    """It equals our loss with each point as an item, and is less than that of a whole item."""
    loss = WaveformLoss(distance)
    value = least(loss, vectors.points("estimates"), vectors.points("source_magnitudes"))
    assert_close(value, vectors[f"output/PIT_{name}"], rtol=1e-5, atol=0)
    whole = least(loss, vectors.magnitudes("estimates"), vectors.magnitudes("source_magnitudes"))
    assert whole > 1.01 * value
    if name == "L1":
        assert_close(whole, vectors["mid/PIT_L1_per_item_NOT_reference"], rtol=1e-5, atol=0)


def test_more_estimates_than_references(vectors):
    value = least(
        WaveformLoss("l1"), vectors.points("estimates_more"), vectors.points("source_magnitudes"), spare=True
    )
    assert_close(value, vectors["output/CombinationInvariant_L1"], rtol=1e-5, atol=0)
    ratio = SISDR(stabilization="ratio")
    value = least(ratio, vectors.audio("audio_more"), vectors.audio("source_audio"), spare=True)
    assert_close(value, vectors["output/CombinationInvariant_SISDR"], rtol=1e-5, atol=0)


def test_ratios(vectors):
    estimates, references = vectors.audio("audio"), vectors.audio("source_audio")
    ratio = SISDR(stabilization="ratio")
    each = ratio.compare(estimates, references)
    assert_close(each, vectors["output/SISDR_none"], rtol=1e-5, atol=0)
    assert_close(each.mean(), vectors["output/SISDR"], rtol=1e-5, atol=0)
    # The values that nussl clips lie below all values of the batch.
    clipped = SISDR(stabilization="ratio", limit=30.0).compare(estimates, references)
    assert_close(clipped.mean(), vectors["output/SISDR_clip"], rtol=1e-5, atol=0)
    assert_close(each.sum(), vectors["output/SISDR_sum"], rtol=1e-5, atol=0)
    plain = SISDR(zero_mean=False, stabilization="ratio").compare(estimates, references)
    assert_close(plain.mean(), vectors["output/SISDR_nozm"], rtol=1e-5, atol=0)
    snr = SNR(zero_mean=True, stabilization="ratio")
    assert_close(snr.compare(estimates, references).mean(), vectors["output/SNR"], rtol=1e-5, atol=0)
    assert_close(least(ratio, estimates, references), vectors["output/PIT_SISDR"], rtol=1e-5, atol=0)
    assert_close(least(snr, estimates, references), vectors["output/PIT_SNR"], rtol=1e-5, atol=0)


def test_the_scale_of_the_references(vectors):
    estimates, references = (
        audio - audio.mean(dim=-1, keepdim=True)
        for audio in (vectors.audio("audio"), vectors.audio("source_audio"))
    )
    scale = inner(estimates, references) / inner(references, references)
    assert_close(scale, vectors["output/SISDR_scale"].mT, rtol=1e-5, atol=1e-8)
