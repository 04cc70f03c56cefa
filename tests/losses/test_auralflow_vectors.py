"""Losses on masks and latents, compared with values of auralflow's code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from soloist.errors import UsageError
from soloist.losses import (
    SISDR,
    ComponentLoss,
    KLDivergence,
    MaskLoss,
    Prediction,
    SpectrogramLoss,
    WeightedSum,
)


class Vectors:
    """Arrays with magnitudes in place of audio, and the identity as transform."""

    def __init__(self, path):
        self.arrays = np.load(path)

    def __getitem__(self, name):
        return torch.from_numpy(np.asarray(self.arrays[name]))

    def expected(self, name):
        return self[f"value/{name}"].float()

    def prediction(self, mixture="mix_spec"):
        """Restore the axes of frequencies and frames, joined to one axis of samples for `Prediction`."""
        size = self["mix_spec"].shape[-2:]
        return Prediction(
            self[mixture].flatten(2),
            lambda: 1 / 0,
            analyze=lambda audio: audio.unflatten(-1, size),
            coefficients=self["estimate_spec"][:, None],
            masks=self["mask"][:, None],
            latent=(self["mu"], self["sigma"]),
        )

    @property
    def references(self):
        return self["target_spec"].flatten(2)[:, None]


@pytest.fixture(scope="module")
def vectors(shared):
    return Vectors(shared / "reference/auralflow/losses.npz")


def near(value, expected):
    assert_close(value.mean(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "alpha", "beta"),
    [
        ("alpha0.2_beta0.8", 0.2, 0.8),
        ("alpha0.3_beta0.4", 0.3, 0.4),
        ("alpha0.2_beta0", 0.2, 0.0),
        # Weights with a sum above one, which the original divides by the sum.
        ("alpha0.9_beta0.6", 0.6, 0.4),
    ],
)
def test_components(vectors, name, alpha, beta):
    loss = ComponentLoss(alpha, beta, rest="magnitudes")
    near(loss(vectors.prediction(), vectors.references), vectors.expected(f"component_{name}"))


def test_at_the_original_s_weights_nothing_keeps_the_source():
    """Defaults of the original, 0.2 and 0.8, leave the source a weight of zero. Ours refuses larger sums."""
    with pytest.raises(TypeError):
        ComponentLoss()
    with pytest.raises(UsageError, match="at most 1 in all"):
        ComponentLoss(0.9, 0.6)


@pytest.mark.parametrize(("name", "distance"), [("l1", "l1"), ("l2", "mse")])
def test_distances_of_magnitudes_and_masks(vectors, name, distance):
    prediction, references = vectors.prediction(), vectors.references
    spectrogram = SpectrogramLoss(distance)
    near(spectrogram(prediction, references), vectors.expected(f"{name}_mean"))
    numbers = vectors["mask"].numel()
    near(spectrogram(prediction, references) * numbers, vectors.expected(f"{name}_sum"))
    mask = MaskLoss(distance, ceiling=None)
    near(mask(prediction, references), vectors.expected(f"mask_{name}_mean"))
    near(mask(vectors.prediction("mix_spec_eps"), references), vectors.expected(f"mask_eps_{name}_mean"))


@pytest.mark.parametrize("distance", ["l1", "mse"])
def test_an_ideal_mask_does_not_explode_where_the_mixture_is_nearly_silent(vectors, distance):
    assert (MaskLoss(distance)(vectors.prediction("mix_spec_eps"), vectors.references) <= 1).all()


def test_the_divergence_and_what_it_is_added_to(vectors):
    prediction, references = vectors.prediction(), vectors.references
    divergence = KLDivergence(per_dimension=True)
    near(divergence(prediction, references), vectors.expected("kl_div"))
    for name, distance in (("l1", "l1"), ("l2", "mse")):
        loss = WeightedSum([divergence, SpectrogramLoss(distance)])
        near(loss(prediction, references), vectors.expected(f"kl_div_plus_{name}"))
    dimensions = vectors["mu"][0].numel()
    near(KLDivergence()(prediction, references) / dimensions, vectors.expected("kl_div"))


def test_the_root_of_the_mean_square(vectors):
    """The original norm is over the batch; ours is over each item."""
    rmse = SpectrogramLoss("rmse", eps=1e-6)(vectors.prediction(), vectors.references)
    expected = vectors.expected("rmse_commented_out_formula")
    assert_close(rmse.square().mean().sqrt(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("swapped", [False, True])
def test_si_sdr_of_stereo(vectors, swapped):
    audio = [vectors["estimate_audio"], vectors["target_audio"]]
    estimates, references = (part[:, None] for part in (audio[::-1] if swapped else audio))
    loss = SISDR(zero_mean=False, channels="scaled")
    value = loss(Prediction(references[:, 0], lambda: estimates), references)
    near(value, vectors.expected("si_sdr_swapped" if swapped else "si_sdr_best_perm_false"))
    # "Permutation" in the original swaps estimate and reference instead of sources.
    assert vectors.expected("si_sdr_best_perm_true") == min(
        vectors.expected("si_sdr_best_perm_false"), vectors.expected("si_sdr_swapped")
    )
    first = SISDR(zero_mean=False)(
        Prediction(references[:, 0, :1], lambda: estimates[:, :, :1]), references[:, :, :1]
    )
    near(first, vectors.expected("si_sdr_first_channel_only"))
