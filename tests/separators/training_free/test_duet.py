"""DUET finds sources by level and delay."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.separators import Duet
from stereo_mixtures import RATE, improvements, talkers_at


def located(separator, mixture):
    """Attenuations, delays and whether they are there, each sorted by delay and attenuation."""
    return [part[0].tolist() for part in separator.locate(separator.stft(mixture).to(torch.complex128))]


@pytest.mark.parametrize(
    "places",
    [
        [(-6, 0), (6, 0)],
        [(-20, 0), (0, 0)],
        [(-3, 1.5), (3, -1.5)],
        [(0, 2), (0, -2)],
        [(-8, 0), (0, 0), (8, 0)],
    ],
)
def test_it_separates_talkers_by_level_and_delay(places):
    references = talkers_at(*places)
    estimates = Duet(len(places), sample_rate=RATE)(references.sum(dim=1))
    assert min(improvements(references, estimates)) > 10


def test_it_says_where_the_talkers_are_in_samples_of_delay():
    mixture = talkers_at((-3, 1.5), (3, -1.5)).sum(dim=1)
    attenuations, delays, found = located(Duet(sample_rate=RATE), mixture)
    assert found == [True, True]
    assert sorted(delays) == pytest.approx([-1.5, 1.5], abs=0.1)
    assert sorted(attenuations) == pytest.approx([10 ** (-3 / 20), 10 ** (3 / 20)], abs=0.05)


def test_as_released_delays_are_divided_by_two_pi_once_more():
    mixture = talkers_at((-3, 1.5), (3, -1.5)).sum(dim=1)
    released = Duet(sample_rate=RATE, as_released=True, delays=(-0.5, 0.5))
    delays = located(released, mixture)[1]
    assert sorted(delays) == pytest.approx([-1.5 / (2 * torch.pi), 1.5 / (2 * torch.pi)], abs=0.04)


def test_as_released_masks_of_three_sources_overlap():
    mixture = talkers_at((-8, 0), (0, 0), (8, 0)).sum(dim=1)
    right = Duet(3, sample_rate=RATE)
    released = Duet(3, sample_rate=RATE, as_released=True)
    spectrum = right.stft(mixture)
    assert (right.spectrum_masks(spectrum).sum(dim=1) == 1).all()
    assert set(released.spectrum_masks(spectrum).sum(dim=1).unique().tolist()) == {1.0, 3.0}


def test_sources_that_have_no_peak_are_silent():
    references = talkers_at((-6, 0), (6, 0))
    estimates = Duet(4, sample_rate=RATE, peak_threshold=0.3)(references.sum(dim=1))
    assert [bool(estimate.any()) for estimate in estimates[0]] == [True, True, False, False]
    assert min(improvements(references, estimates[:, :2])) > 10


def test_equal_channels_are_one_source():
    mixture = torch.randn(1, 1, 8000).expand(1, 2, 8000)
    estimates = Duet(sample_rate=RATE)(mixture)
    torch.testing.assert_close(estimates[:, 0], mixture, atol=1e-5, rtol=0)
    assert not estimates[:, 1].any()


def test_weights_favour_what_they_are_told_to():
    mixture = talkers_at((-6, 0), (6, 0)).sum(dim=1)
    spectrum = Duet(sample_rate=RATE).stft(mixture).to(torch.complex128)
    plain = Duet(sample_rate=RATE).histogram(spectrum)
    for option in ({"p": 0.5}, {"q": 2.0}, {"q": -1.0}, {"smoothing": 1}, {"smoothing": 5}):
        histogram = Duet(sample_rate=RATE, **option).histogram(spectrum)
        assert histogram.isfinite().all()
        assert not torch.allclose(histogram, plain, atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"channels": 1},
        {"channels": 3},
        {"num_sources": 0},
        {"delays": (1.0, -1.0)},
        {"bins": (1, 50)},
        {"smoothing": 2},
        {"peak_threshold": 1.5},
        {"peak_distance": (-1, 5)},
    ],
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(UsageError):
        Duet(**options)


def test_a_mono_recording_is_told_what_is_needed():
    with pytest.raises(UsageError, match="two channels, and this mixture has 1"):
        Duet(channels=1)
