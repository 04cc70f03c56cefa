"""Loss over subsets of targets in both domains, compared with values of xumx-sliCQ's code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from soloist.losses import SISDR, Combinations, MultiDomain, Prediction, SpectrogramLoss
from soloist.transforms import SliCQ

TARGETS = ["bass", "vocals", "other", "drums"]
WAVEFORM = SISDR(stabilization="ratio", channels="apart")
SPECTROGRAM = SpectrogramLoss("mse", weighting="blocks")


class Case:
    """Predicted magnitudes with the phase of the mixture, audio of the targets, and the loss."""

    def __init__(self, path):
        self.arrays = np.load(path)
        transform = SliCQ("bark", 40, 100.0, as_released=True)
        mixture = self["input/mix"]
        mixed = transform(mixture)
        magnitudes = [
            torch.stack([self[f"input/pred_mag/{target}/{index}"] for target in TARGETS], dim=1)
            for index in range(len(mixed))
        ]
        self.magnitudes = [block.requires_grad_() for block in magnitudes]
        coefficients = [
            torch.polar(block, angle.angle()[:, None].expand_as(block))
            for block, angle in zip(self.magnitudes, mixed, strict=True)
        ]

        def synthesize():
            folded = [block.flatten(0, 1) for block in coefficients]
            return transform.inverse(folded, mixture.shape[-1]).unflatten(0, (-1, len(TARGETS)))

        self.prediction = Prediction(mixture, synthesize, analyze=transform, coefficients=coefficients)
        self.references = torch.stack([self[f"input/wave/{target}"] for target in TARGETS], dim=1)

    def __getitem__(self, name):
        return torch.from_numpy(np.asarray(self.arrays[name]))

    def slope(self, loss):
        """Gradient of the predicted magnitudes of the first block."""
        return torch.autograd.grad(loss.mean(), self.magnitudes, retain_graph=True)[0]


@pytest.fixture(scope="module")
def case(shared):
    return Case(shared / "reference/slicq/loss.npz")


def near(value, expected):
    assert_close(value.double(), expected, rtol=1e-5, atol=0)


def test_the_loss_is_that_of_the_original(case):
    loss = MultiDomain(SPECTROGRAM, WAVEFORM, 0.1, as_released=True)
    near(loss(case.prediction, case.references).mean(), case["output"])


def test_the_waveforms_of_all_subsets(case):
    terms = Combinations(WAVEFORM).terms(case.prediction, case.references)
    assert terms.shape == (2, 14)
    near(terms.mean(dim=0), case["mid/sdr_14"])
    near(terms.mean(), case["mid/sdr_part"])


def test_there_spectrograms_of_subsets_are_never_added_up(case):
    """In the original, a sum of lists of blocks concatenates them, so that targets count one by one."""
    views = SPECTROGRAM.views(case.prediction, case.references)
    near(SPECTROGRAM.compare(*views).mean(dim=0), case["mid/mse_single"])
    near(SPECTROGRAM(case.prediction, case.references).mean(), case["mid/mse_part"])
    added = Combinations(SPECTROGRAM).terms(case.prediction, case.references).mean(dim=0)
    near(added, case["mid/mse_if_summed_14_NOT_reference"])


def test_there_nothing_is_learned_from_the_waveforms(case):
    of_spectrograms = case.slope(SPECTROGRAM(case.prediction, case.references))
    for coefficient in (0.1, 100.0):
        released = MultiDomain(SPECTROGRAM, WAVEFORM, coefficient, as_released=True)
        assert_close(case.slope(released(case.prediction, case.references)), of_spectrograms)
    ours = MultiDomain(SPECTROGRAM, WAVEFORM, 0.1)(case.prediction, case.references)
    alone = Combinations(SPECTROGRAM)(case.prediction, case.references)
    assert (case.slope(ours) - case.slope(alone)).abs().max() > 1e-5
