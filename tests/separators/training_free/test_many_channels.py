"""Separators that take each channel by itself: many channels cost time, not memory."""

from __future__ import annotations

import pytest
import torch

from soloist.separators import FT2D, HPSS, RPCA, TwoStageHPSS
from soloist.separators.training_free import mask_separator


@pytest.mark.parametrize("kind", [HPSS, TwoStageHPSS, FT2D, RPCA])
@pytest.mark.parametrize("at_once", [1, 2])
def test_channels_in_groups_are_those_of_all_at_once(kind, at_once, monkeypatch):
    separator, mixture = kind(sample_rate=8000, channels=5), torch.randn(2, 5, 4000)
    whole = separator(mixture)
    monkeypatch.setattr(mask_separator, "_MOST_AT_ONCE", at_once * 2 * 4000 + 1)
    assert mask_separator.channels_at_once(mixture) == at_once
    torch.testing.assert_close(separator(mixture), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", [HPSS, TwoStageHPSS])
def test_no_spectrum_of_many_channels_is_large(kind, monkeypatch):
    monkeypatch.setattr(mask_separator, "_MOST_AT_ONCE", 8000)
    separator = kind(sample_rate=8000, channels=20)
    mixture, sizes = torch.randn(1, 20, 4000), []
    stages = (separator,) if kind is HPSS else (separator.long, separator.short)
    for stage in stages:
        stage.stft.register_forward_hook(lambda _, __, spectrum: sizes.append(spectrum.shape[1]))
    separator(mixture)
    assert sizes == [2] * 10 * len(stages)
