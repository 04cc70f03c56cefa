"""Two-stage HPSS tells what wanders from what stands still and what strikes."""

from __future__ import annotations

import math

import pytest
import torch

from soloist.errors import UsageError
from soloist.separators import Chunking, TwoStageHPSS, separate_chunked

RATE = 11025


def voice_chord_and_clicks(seconds: float = 6.0) -> tuple[torch.Tensor, ...]:
    """Harmonics of a wandering pitch, three held tones, and clicks, each `(1, 1, samples)`."""
    samples = int(seconds * RATE)
    time = torch.arange(samples) / RATE
    targets = torch.rand(1, 1, int(seconds / 0.15), generator=torch.Generator().manual_seed(0))
    pitch = 440 + 120 * torch.nn.functional.interpolate(targets, samples, mode="linear")[0, 0].double()
    phase = 2 * math.pi * (pitch / RATE).cumsum(0)
    voice = sum(0.1 / k * torch.sin(k * phase) for k in (1, 2, 3)).float()
    chord = sum(0.1 * torch.sin(2 * math.pi * frequency * time) for frequency in (261.6, 329.6, 392.0))
    clicks = torch.zeros_like(time)
    clicks[RATE // 8 :: RATE // 4] = 0.9
    return voice[None, None], chord[None, None], clicks[None, None]


def test_a_wandering_pitch_is_vocals_and_the_rest_is_not():
    voice, chord, clicks = voice_chord_and_clicks()
    vocals = TwoStageHPSS(sample_rate=RATE, channels=1)(voice + chord + clicks)[:, 0]
    inner = slice(RATE, -RATE)
    reference, error = voice[..., inner].square().sum(), (vocals - voice)[..., inner].square().sum()
    assert 10 * torch.log10(reference / error) > 8
    assert 10 * torch.log10((chord + clicks)[..., inner].square().sum() / error) > 8


def test_chunks_that_overlap_by_the_receptive_field_equal_the_whole():
    separator = TwoStageHPSS(sample_rate=RATE, channels=1, long_window=0.128, time_kernel=9)
    mixture = torch.randn(1, 1, 60_001, generator=torch.Generator().manual_seed(0))
    chunking = Chunking.of(separator, length=20_000)
    assert chunking.length < 30_000
    chunked = separate_chunked(separator, mixture, chunking)
    assert (chunked - separator(mixture)).abs().max() < 1e-5


def test_the_default_chunk_holds_the_overlap_that_makes_it_exact():
    separator = TwoStageHPSS()
    chunking = Chunking.of(separator)
    assert chunking.trim == separator.receptive_field
    assert chunking.length <= separator.chunk_length


def test_below_the_high_pass_all_is_accompaniment():
    time = torch.arange(4 * RATE) / RATE
    trembling = torch.sin(2 * math.pi * 120 * time + 6 * torch.sin(2 * math.pi * 5 * time))[None, None]
    open_low, closed = (
        TwoStageHPSS(sample_rate=RATE, channels=1, high_pass=cutoff)(trembling)[:, 0].square().sum()
        for cutoff in (0, 300)
    )
    assert closed < 0.05 * open_low


@pytest.mark.parametrize("options", [{"short_window": 1.0}, {"short_window": 0.0}, {"high_pass": -1.0}])
def test_nonsense_is_refused(options):
    with pytest.raises(UsageError):
        TwoStageHPSS(**options)
