"""The transform of Hybrid Demucs."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from soloist.errors import UsageError
from soloist.transforms import HalfHopSTFT


@pytest.mark.parametrize("length", [1, 5, 64, 300, 1001])
def test_frames_and_reconstruction(length):
    transform, hop = HalfHopSTFT(64), 16
    times = torch.arange(length)
    audio = torch.sin(0.3 * times).expand(2, 3, -1)
    coefficients = transform(audio)
    assert coefficients.shape == (2, 3, 32, -(-length // hop))
    restored = transform.inverse(coefficients, length)
    assert restored.shape == audio.shape
    inside = slice(2 * hop, max(length - 2 * hop, 2 * hop))
    assert_close(restored[..., inside], audio[..., inside], rtol=0, atol=2e-3)


def test_frames_are_centred_on_half_hops():
    audio = torch.zeros(1, 1, 640)
    audio[..., 16 * 20 + 8] = 1.0
    power = HalfHopSTFT(64)(audio).abs().square().sum(dim=2).flatten()
    assert power.argmax() == 20
    assert_close(power[19], power[21])


def test_the_defect_delays_by_one_and_a_half_hops():
    audio = torch.sin(0.3 * torch.arange(1000))[None, None]
    transform = HalfHopSTFT(64, delayed=True)
    restored = transform.inverse(transform(audio), 1000)
    assert_close(restored[..., 100:900], audio[..., 76:876], rtol=0, atol=2e-3)
    assert torch.isfinite(restored).all()


def test_lengths_without_half_hops_are_refused():
    with pytest.raises(UsageError, match="multiple of 8"):
        HalfHopSTFT(100)
