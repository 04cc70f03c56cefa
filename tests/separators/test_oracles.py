"""Oracles do what they are defined to do, on any transform."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.metrics import sdr
from soloist.separators import ORACLES, Oracle
from soloist.separators.oracles import ideal_binary_mask, phase_sensitive_mask
from soloist.transforms import STFT, Transform

MASKS = ["ibm", "irm1", "irm2"]
INFORMED = [*MASKS, "psm", "mwf", "mpi"]


def sources(channels: int = 2) -> Tensor:
    """A tone, a click train and noise, panned differently."""
    times = torch.arange(6000) / 8000
    generator = torch.Generator().manual_seed(0)
    mono = torch.stack(
        [
            0.3 * torch.sin(2 * torch.pi * 440 * times),
            (torch.arange(6000) % 1500 == 0).float(),
            0.05 * torch.randn(6000, generator=generator),
        ]
    )
    gains = torch.tensor([[1.0, 0.2], [0.5, 0.6], [0.1, 0.9]])[:, :channels]
    return (mono[:, None] * gains[..., None])[None]


class Blocks(Transform):
    """Two STFT bands as a list of blocks, the upper one with an axis for slices as the sliCQ has."""

    def __init__(self) -> None:
        super().__init__()
        self.stft = STFT(512, 128)

    def forward(self, audio):
        coefficients = self.stft(audio)
        return [coefficients[:, :, :100], coefficients[:, :, 100:].unflatten(-1, (-1, 1))]

    def inverse(self, coefficients, length):
        low, high = coefficients
        return self.stft.inverse(torch.cat([low, high.flatten(-2)], dim=2), length)


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("channels", [1, 2])
def test_estimates_are_shaped_like_the_references(name, channels):
    references = sources(channels).repeat(2, 1, 1, 1)
    estimates = Oracle(name, STFT(512, 128))(references.sum(dim=1), references)
    assert estimates.shape == references.shape
    assert estimates.isfinite().all()
    torch.testing.assert_close(estimates[0], estimates[1])


@pytest.mark.parametrize("name", ORACLES)
def test_items_are_estimated_one_by_one(name):
    references = torch.cat([sources(), 1e-3 * sources().flip(-1)])
    oracle = Oracle(name, STFT(512, 128))
    both = oracle(references.sum(dim=1), references)
    alone = oracle(references[1:].sum(dim=1), references[1:])
    torch.testing.assert_close(both[1:], alone, atol=1e-9, rtol=1e-4)


@pytest.mark.parametrize("name", INFORMED)
def test_the_informed_are_better_than_the_mixture(name):
    references = sources()
    mixture = references.sum(dim=1)
    transform = STFT(512, 128)
    estimates = Oracle(name, transform)(mixture, references)
    bound = Oracle("mixture", transform)(mixture, references)
    assert (sdr(references, estimates) > sdr(references, bound) + 1).all()


@pytest.mark.parametrize("name", [*MASKS, "mwf"])
def test_estimates_add_up_to_the_mixture(name):
    references = sources()
    mixture = references.sum(dim=1)
    estimates = Oracle(name, STFT(512, 128))(mixture, references)
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ORACLES)
def test_blocks_are_estimated_like_a_whole(name):
    references = sources()
    mixture = references.sum(dim=1)
    whole = Oracle(name, STFT(512, 128))(mixture, references)
    # The regularisation of the Wiener filter is relative to the power of a block.
    torch.testing.assert_close(Oracle(name, Blocks())(mixture, references), whole, atol=1e-4, rtol=0)


def test_lower_bounds():
    references = sources()
    mixture = references.sum(dim=1)
    estimates = Oracle("mixture", STFT(512, 128))(mixture, references)
    torch.testing.assert_close(estimates, mixture[:, None].expand_as(references), atol=1e-6, rtol=0)
    assert not Oracle("silence", STFT(512, 128))(mixture, references).any()


@pytest.mark.parametrize("name", ORACLES)
def test_silence_stays_silence(name):
    silent = torch.zeros(1, 3, 2, 2000)
    assert not Oracle(name, STFT(512, 128))(silent[:, 0], silent).any()


def test_a_wiener_filter_separates_by_panning_what_overlaps_everywhere():
    generator = torch.Generator().manual_seed(0)
    gains = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    references = (torch.randn(2, 1, 8000, generator=generator) * gains[..., None])[None]
    mixture = references.sum(dim=1)
    spatial = sdr(references, Oracle("mwf", STFT(512, 128))(mixture, references))
    mask = sdr(references, Oracle("irm2", STFT(512, 128))(mixture, references))
    assert (spatial > mask + 20).all()


def test_more_than_two_channels_are_inverted_too():
    generator = torch.Generator().manual_seed(0)
    gains = torch.randn(3, 3, generator=generator)
    references = (torch.randn(3, 1, 8000, generator=generator) * gains[..., None])[None]
    estimates = Oracle("mwf", STFT(512, 128))(references.sum(dim=1), references)
    assert (sdr(references, estimates) > 30).all()


def test_a_tie_is_shared():
    source = torch.ones(1, 2, 1, 1, 1, dtype=torch.complex64)
    assert (ideal_binary_mask(source.sum(dim=1), source) == 1).all()


def test_the_phase_sensitive_mask_is_the_nearest_real_one():
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(1, 2, 1, 5, 7, dtype=torch.complex64, generator=generator)
    mixture = source.sum(dim=1)
    best = (phase_sensitive_mask(mixture, source) - source).abs()
    for mask in torch.linspace(0, 1, 21):
        assert (best <= (mask * mixture[:, None] - source).abs() + 1e-6).all()


def test_unknown_names_and_shapes_are_named():
    with pytest.raises(UsageError, match=r"'irm3'.*irm2"):
        Oracle("irm3", STFT(512, 128))
    with pytest.raises(UsageError, match="sources"):
        Oracle("ibm", STFT(512, 128))(torch.zeros(1, 1, 100), torch.zeros(1, 2, 2, 100))
