"""PROJET finds sources by what is heard of them in many directions."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.separators import Projet
from stereo_mixtures import RATE, improvements, talkers_at


@pytest.mark.parametrize("places", [[(-6, 0), (6, 0)], [(-20, 0), (0, 0)], [(-8, 0), (0, 0), (8, 0)]])
def test_it_separates_talkers_by_level(places):
    references = talkers_at(*places, seconds=2.5)
    estimates = Projet(len(places), sample_rate=RATE)(references.sum(dim=1))
    assert min(improvements(references, estimates)) > (10 if len(places) == 2 else 9)


def test_it_models_delays_on_request():
    references = talkers_at((-3, 1.5), (3, -1.5), seconds=1.5)
    options = {"places": (15, 7), "projections": (6, 5), "max_delay": 3.0, "iterations": 30}
    estimates = Projet(sample_rate=RATE, **options)(references.sum(dim=1))
    assert min(improvements(references, estimates)) > 5


@pytest.mark.parametrize("delays", [(-2, 2), (0, 3), (-3, 0, 3)])
def test_it_separates_talkers_by_delay_alone(delays):
    references = talkers_at(*((0, delay) for delay in delays), seconds=1.0)
    options = {"places": (1, 9), "projections": (3, 5), "max_delay": 4.0}
    estimates = Projet(len(delays), sample_rate=RATE, **options)(references.sum(dim=1))
    assert min(improvements(references, estimates)) > 8


def test_a_single_level_is_the_middle():
    """Where both channels are the same, nothing is heard in the direction that cancels it."""
    spectrum = torch.ones(513, 2, 4, dtype=torch.complex64)
    (block,) = Projet(sample_rate=RATE, places=(1, 1), projections=(3, 1))._blocks(spectrum)
    torch.testing.assert_close(block.gains[:, 1], torch.zeros(513, 1), atol=1e-6, rtol=0)


def test_the_updates_make_the_divergence_smaller():
    mixture = talkers_at((-6, 0), (6, 0), seconds=1.0).sum(dim=1)

    def divergence(separator):
        spectrum = separator.stft(mixture)[0].transpose(0, 1)
        blocks = list(separator._blocks(spectrum))
        magnitudes, places = separator._begin(spectrum)
        for _ in range(separator.iterations):
            places = separator._update(blocks, magnitudes, places)
        total = 0.0
        for block in blocks:
            observed = block.observed.clamp(min=1e-12)
            model = (block.gains @ places @ magnitudes[block.bins]).clamp(min=1e-8)
            total += float((observed * (observed / model).log() - observed + model).sum())
        return total

    after = [divergence(Projet(sample_rate=RATE, iterations=count)) for count in (1, 5, 25)]
    assert after[0] > after[1] > after[2]


def test_groups_of_frequencies_make_no_difference(monkeypatch):
    mixture = talkers_at((-6, 0), (6, 0), seconds=0.5).sum(dim=1)
    options = {"places": (9, 3), "projections": (4, 3), "max_delay": 1.0, "iterations": 5}
    whole = Projet(sample_rate=RATE, **options)(mixture)
    monkeypatch.setattr("soloist.separators.training_free.projet._GROUP", 10_000)
    torch.testing.assert_close(Projet(sample_rate=RATE, **options)(mixture), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("option", [{"beta": 2.0}, {"beta": 0.5}, {"alpha": 2.0}])
def test_options_have_an_effect(option):
    mixture = talkers_at((-6, 0), (6, 0), seconds=1.0).sum(dim=1)
    plain = Projet(sample_rate=RATE, iterations=5)(mixture)
    changed = Projet(sample_rate=RATE, iterations=5, **option)(mixture)
    assert changed.isfinite().all()
    assert not torch.allclose(plain, changed, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"channels": 1}, {"places": (0, 1)}, {"projections": (1, 1)}, {"iterations": 0}, {"max_delay": -1.0}],
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(UsageError):
        Projet(**options)
