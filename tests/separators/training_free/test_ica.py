"""Independent components undo instantaneous mixtures."""

from __future__ import annotations

import sys

import pytest
import torch

from soloist.errors import UsageError
from soloist.separators import ICA, Chunking, separate_chunked
from stereo_mixtures import RATE, improvements, talker


def mixed(count, seed=0):
    """What each of so many talkers gives to as many channels, `(1, sources, channels, samples)`."""
    weights = torch.randn(count, count, generator=torch.Generator().manual_seed(seed))
    voices = torch.stack([torch.from_numpy(talker(index)).float() for index in range(count)])
    return (weights.T[:, :, None] * voices[:, None])[None]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_as_many_talkers_as_channels_are_told_apart(count):
    references = mixed(count)
    estimates = ICA(sample_rate=RATE, channels=count)(references.sum(dim=1))
    assert min(improvements(references, estimates)) > 20


def test_chunks_agree_about_who_is_who():
    references = mixed(2)
    separator = ICA(sample_rate=RATE)
    chunking = Chunking.of(separator, length=2 * RATE)
    estimates = separate_chunked(separator, references.sum(dim=1), chunking, ordered=False)
    assert min(improvements(references, estimates)) > 15


@pytest.mark.parametrize("length", [1, 2, 3, 50, 4000])
@pytest.mark.parametrize("channels", [2, 3])
def test_any_length_comes_back_and_adds_up(length, channels):
    mixture = torch.randn(2, channels, length) + 0.3
    estimates = ICA(sample_rate=RATE, channels=channels)(mixture)
    assert estimates.shape == (2, channels, channels, length)
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-5, rtol=0)


@pytest.mark.parametrize("gains", [[1.0, 1.0], [1.0, 0.0], [0.3, -2.0]])
def test_channels_that_depend_on_each_other_are_one_source(gains):
    mixture = torch.randn(1, 1, 4000) * torch.tensor(gains)[:, None]
    estimates = ICA(sample_rate=RATE)(mixture)
    torch.testing.assert_close(estimates[:, 0], mixture, atol=1e-5, rtol=0)
    assert not estimates[:, 1].any()


def test_silence_stays_silent_and_the_level_does_not_matter():
    assert not ICA(sample_rate=RATE)(torch.zeros(1, 2, 1000)).any()
    mixture = mixed(2).sum(dim=1)
    loud, soft = ICA(sample_rate=RATE)(mixture), ICA(sample_rate=RATE)(mixture * 2**-10)
    torch.testing.assert_close(soft * 2**10, loud, atol=1e-5, rtol=0)


def test_the_same_input_gives_the_same_output():
    mixture = mixed(2).sum(dim=1)
    assert torch.equal(ICA(sample_rate=RATE)(mixture), ICA(sample_rate=RATE)(mixture))


def test_noise_has_no_components_and_gives_no_warnings(recwarn):
    ICA(sample_rate=RATE, iterations=1)(torch.randn(1, 2, 2000))
    assert not recwarn.list


def test_a_mono_recording_is_told_what_is_needed():
    with pytest.raises(UsageError, match="a channel for each source"):
        ICA(channels=1)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UsageError, match=r"soloist\[factorization\]"):
        ICA()


@pytest.mark.parametrize("options", [{"iterations": 0}, {"tolerance": 0.0}])
def test_wrong_arguments_are_refused(options):
    with pytest.raises(UsageError):
        ICA(**options)
