"""Losses on blocks of a sliCQ, through the separator: real sums of sources, and real slopes."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch.testing import assert_close

from soloist.losses import SISDR, Combinations, MultiDomain, SpectrogramLoss
from soloist.networks import Autoencoder
from soloist.separators import SliCQSeparator
from soloist.transforms import SliCQ

SOURCES = ["bass", "vocals", "other", "drums"]
SPECTROGRAM = SpectrogramLoss("mse", weighting="blocks")
WAVEFORM = SISDR(stabilization="ratio", channels="apart")


@pytest.fixture(scope="module")
def case():
    """A separator's prediction of two mixtures, and the references."""
    torch.manual_seed(0)
    separator = SliCQSeparator(
        SliCQ("bark", 24, 80.0, sample_rate=8000), Autoencoder((3, 4)), sources=SOURCES, sample_rate=8000
    ).train()
    references = 0.1 * torch.randn(2, 4, 2, 4000)
    return separator, separator.predict(references.sum(dim=1)), references


def slope(case, loss):
    """What each weight of the network is told."""
    separator, prediction, references = case
    value = loss(prediction, references).mean()
    return torch.autograd.grad(value, list(separator.network.parameters()), retain_graph=True)


def subsets():
    return [subset for size in (1, 2, 3) for subset in combinations(range(4), size)]


def test_magnitudes_of_subsets_are_added_up(case):
    separator, prediction, references = case
    terms = Combinations(SPECTROGRAM).terms(prediction, references)
    assert terms.shape == (2, 14)
    targets = separator.transform(references.flatten(0, 1))
    for term, subset in zip(terms.T, subsets(), strict=True):
        blocks = [
            (block[:, subset].abs().sum(dim=1) - target.abs().unflatten(0, (2, 4))[:, subset].sum(dim=1))
            .square()
            .mean(dim=(1, 2, 3, 4))
            for block, target in zip(prediction.coefficients, targets, strict=True)
        ]
        assert_close(term, torch.stack(blocks).mean(dim=0), rtol=1e-4, atol=0)


def test_waveforms_of_subsets_are_added_up(case):
    _, prediction, references = case
    terms = Combinations(WAVEFORM).terms(prediction, references)
    for term, subset in zip(terms.T, subsets(), strict=True):
        sums = [audio[:, subset].sum(dim=1, keepdim=True) for audio in (prediction.estimates, references)]
        assert_close(term, WAVEFORM.compare(*sums)[:, 0])


def test_the_network_learns_from_both_domains(case):
    _, prediction, references = case
    loss = MultiDomain(SPECTROGRAM, WAVEFORM, 0.1)
    parts = [Combinations(part)(prediction, references) for part in (SPECTROGRAM, WAVEFORM)]
    assert_close(loss(prediction, references), parts[0] + 0.1 * parts[1])
    both, spectrograms, waveforms = (
        slope(case, part) for part in (loss, Combinations(SPECTROGRAM), Combinations(WAVEFORM))
    )
    for total, one, other in zip(both, spectrograms, waveforms, strict=True):
        assert_close(total, one + 0.1 * other, rtol=1e-3, atol=1e-6)
    assert all(torch.isfinite(part).all() for part in both)
    assert max(part.abs().max() for part in waveforms) > 1e-3


def test_as_released_it_learns_from_single_spectrograms_alone(case):
    _, prediction, references = case
    loss = MultiDomain(SPECTROGRAM, WAVEFORM, 0.1, as_released=True)
    value = SPECTROGRAM(prediction, references) + 0.1 * Combinations(WAVEFORM)(prediction, references)
    assert_close(loss(prediction, references), value)
    for released, alone in zip(slope(case, loss), slope(case, SPECTROGRAM), strict=True):
        assert_close(released, alone)
