"""Ensembles follow those of their members that agree."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import ConfigError, UsageError
from soloist.metrics import sdr
from soloist.separators import HPSS, Crossover, Duet, EnsembleClustering, build_separator

RATE = 8000


def ensemble(*members, **options):
    """An ensemble of separators at 8 kHz in mono."""
    return EnsembleClustering(members, sample_rate=RATE, channels=1, **options)


def low_and_high() -> torch.Tensor:
    """A low and a high tone `(1, 2, 1, samples)`."""
    times = torch.arange(2 * RATE) / RATE
    return torch.stack([(2 * torch.pi * pitch * times).sin() for pitch in (200, 2000)])[None, :, None] / 4


def crossover(frequency):
    return Crossover(sample_rate=RATE, channels=1, frequency=frequency)


def test_the_majority_outvotes_a_member_that_is_wrong():
    references = low_and_high()
    mixture = references.sum(dim=1)
    wrong = crossover(3000.0)  # Takes all for low.
    estimates = ensemble(crossover(500.0), crossover(800.0), wrong)(mixture)
    assert (sdr(references, estimates) > 10).all()
    assert float(sdr(references, wrong(mixture)).min()) < 1


def test_sources_keep_the_names_and_the_order_of_the_members():
    separator = ensemble(crossover(500.0), crossover(800.0))
    assert separator.sources == ("low", "high")
    assert separator.ordered


def test_members_with_different_sources_make_clusters_without_an_order():
    members = crossover(500.0), HPSS(sample_rate=RATE, channels=1)
    with pytest.raises(UsageError, match="name those"):
        ensemble(*members)
    separator = ensemble(*members, sources=["a", "b", "c"])
    assert not separator.ordered
    mixture = low_and_high().sum(dim=1) + 0.01 * torch.randn(1, 1, 2 * RATE)
    estimates = separator(mixture)
    assert estimates.shape[1] == 3
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-5, rtol=0)


def test_a_member_without_weight_does_not_count():
    mixture = low_and_high().sum(dim=1)
    alone = ensemble(crossover(500.0))(mixture)
    weighted = ensemble(crossover(500.0), crossover(3000.0), weights=[1.0, 0.0])(mixture)
    torch.testing.assert_close(weighted, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 100, 9000])
def test_the_default_ensemble_takes_any_length(length):
    mixture = torch.randn(1, 1, length)
    estimates = EnsembleClustering(sample_rate=RATE, channels=1)(mixture)
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-4, rtol=0)
    assert not EnsembleClustering(sample_rate=RATE, channels=1)(torch.zeros(1, 1, length)).any()


def test_members_can_be_named_in_a_configuration():
    package = "soloist.separators.training_free"
    common = {"sample_rate": RATE, "channels": 1}
    members = [
        {"class_path": f"{package}.crossover.Crossover", "init_args": common | {"frequency": frequency}}
        for frequency in (500.0, 800.0)
    ]
    config = {
        "class_path": f"{package}.ensemble_clustering.EnsembleClustering",
        "init_args": common | {"separators": members},
    }
    mixture = low_and_high().sum(dim=1)
    expected = ensemble(crossover(500.0), crossover(800.0))(mixture)
    torch.testing.assert_close(build_separator(config, "test")(mixture), expected)
    members[0]["init_args"] = common | {"frequenzy": 1.0}
    with pytest.raises(ConfigError, match="frequency"):
        build_separator(config, "test")


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        ([], {}, "at least one"),
        ([Crossover(sample_rate=44100, channels=1)], {}, "44100 Hz"),
        ([crossover(500.0)], {"weights": [1.0, 2.0]}, "a weight for each"),
        ([crossover(500.0)], {"weights": [-1.0]}, "negative"),
        ([crossover(500.0)], {"percentile": 100.0}, "percentile"),
    ],
)
def test_what_does_not_fit_is_named(members, options, message):
    with pytest.raises(UsageError, match=message):
        ensemble(*members, **options)


def test_sources_without_an_order_cannot_vote():
    with pytest.raises(UsageError, match="no order"):
        EnsembleClustering([Duet(sample_rate=RATE)], sample_rate=RATE, channels=2)
