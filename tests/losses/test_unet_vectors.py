"""The losses of the U-Nets against the values that their authors' code gives."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from einops import rearrange

from soloist.estimation.masks import planes_to_complex
from soloist.losses.base import Prediction
from soloist.losses.spectrogram import SpectrogramLoss
from soloist.losses.waveform import WaveformLoss
from soloist.transforms.stft import STFT


@pytest.fixture(scope="module")
def vectors(shared):
    return np.load(shared / "reference/unets/losses.npz")


@pytest.fixture(scope="module")
def whole(vectors):
    """The framework's prediction and its target, with the spectrogram that the network gave."""
    output, target = (audio(vectors[name]) for name in ("output", "target"))
    planes = rearrange(torch.from_numpy(vectors["mid/output_spec"]), "b c t f -> b c f t")
    prediction = Prediction(
        output[:, 0],
        lambda: output,
        analyze=STFT(256, 128),
        coefficients=planes_to_complex(planes, PLANES)[:, None],
    )
    return prediction, target


PLANES = "parts"


def audio(array):
    return rearrange(torch.from_numpy(array), "b t c -> b 1 c t")


LOSSES = {
    "spec_l1": SpectrogramLoss("l1", "complex"),
    "spec_l2": SpectrogramLoss("mse", "complex"),
    "spec_mse": SpectrogramLoss("mse", "complex"),
    "raw_l1": WaveformLoss("l1"),
    "raw_l2": WaveformLoss("mse"),
    "raw_mse": WaveformLoss("mse"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_that_of_the_original(vectors, whole, name):
    assert json.loads(str(vectors["config"]))["spec_type"] == "complex"
    assert LOSSES[name](*whole).mean().item() == pytest.approx(float(vectors[f"value/{name}"]), rel=1e-5)
