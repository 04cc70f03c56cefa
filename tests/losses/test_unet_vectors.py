"""Losses of the U-Nets, compared with values of the authors' code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from einops import rearrange

from soloist.estimation import planes_to_complex
from soloist.losses import FramedLoss, Prediction, SpectrogramLoss, WaveformLoss, WeightedSum
from soloist.transforms import STFT


@pytest.fixture(scope="module")
def vectors(shared):
    return np.load(shared / "reference/unets/losses.npz")


@pytest.fixture(scope="module")
def whole(vectors):
    """Prediction with the spectrogram of the network, and target."""
    output, target = (audio(vectors[name]) for name in ("output", "target"))
    planes = rearrange(torch.from_numpy(vectors["mid/output_spec"]), "b c t f -> b c f t")
    prediction = Prediction(
        output[:, 0],
        lambda: output,
        analyze=STFT(256, 128),
        coefficients=planes_to_complex(planes, "parts")[:, None],
    )
    return prediction, target


def audio(array):
    return rearrange(torch.from_numpy(array), "b t c -> b 1 c t")


def framed(measure, length=256, hop=128):
    return FramedLoss(measure, length, hop, as_released=True)


def second(measure):
    return FramedLoss(measure, 44100, 22050, as_released=True)


WAVEFORM = {
    "raw_l1": WaveformLoss("l1"),
    "raw_l2": WaveformLoss("mse"),
    "raw_mse": WaveformLoss("mse"),
    "distortion": framed("distortion"),
    "sdr_like": framed("sdr_like"),
    "sdr": framed("sdr"),
    "nsdr": FramedLoss("sdr", 256, 128),
    "dsr": framed("dsr"),
    "ldsr": framed("ldsr"),
    "ncs": framed("ncs"),
    "nlcs": framed("nlcs"),
}
LOSSES = {
    **WAVEFORM,
    "spec_l1": SpectrogramLoss("l1", "complex"),
    "spec_l2": SpectrogramLoss("mse", "complex"),
    "spec_mse": SpectrogramLoss("mse", "complex"),
    "raw_and_spec": WeightedSum([WaveformLoss("l1"), SpectrogramLoss("mse", "complex")], [0.7, 0.3]),
    "nsdr_44100": FramedLoss("sdr", 44100, 22050),
    "ncs_44100": second("ncs"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_that_of_the_original(vectors, whole, name):
    assert LOSSES[name](*whole).mean().item() == pytest.approx(float(vectors[f"value/{name}"]), rel=1e-5)


@pytest.mark.parametrize("name", sorted(set(WAVEFORM) - {"nsdr"}))
def test_a_loss_of_an_odd_number_of_samples_is_that_of_the_original(vectors, name):
    estimates, references = (audio(vectors[f"isolated/{part}"]) for part in ("estimate", "target"))
    value = WAVEFORM[name](Prediction(references[:, 0], lambda: estimates), references).mean()
    assert value.item() == pytest.approx(float(vectors[f"value_isolated/{name}"]), rel=1e-5)


def test_the_last_frame_that_the_original_leaves_out(vectors):
    """The original pads 147 zeros by 73 on either side: 14 frames of 256 samples instead of 15."""
    estimates, references = (audio(vectors[f"isolated/{part}"]) for part in ("estimate", "target"))
    ours = FramedLoss("ldsr", 256, 128)(Prediction(references[:, 0], lambda: estimates), references).mean()
    assert ours.item() != pytest.approx(float(vectors["value_isolated/ldsr"]), rel=1e-3)


@pytest.mark.parametrize("name", ["nsdr_44100", "ncs_44100"])
def test_short_signals_of_an_odd_number_of_samples_have_a_frame(vectors, name):
    """The original raises an error for them."""
    estimates, references = (audio(vectors[f"isolated/{part}"]) for part in ("estimate", "target"))
    loss = FramedLoss("sdr" if name == "nsdr_44100" else "ncs", 44100, 22050)
    assert loss(Prediction(references[:, 0], lambda: estimates), references).isfinite().all()


def test_the_sign_of_sdr_is_the_one_that_makes_estimates_better(whole):
    prediction, references = whole
    mixed = Prediction(references[:, 0], lambda: references + torch.randn_like(references))
    worse, better = (FramedLoss("sdr", 256, 128)(said, references).mean() for said in (mixed, prediction))
    assert better < worse < 0
