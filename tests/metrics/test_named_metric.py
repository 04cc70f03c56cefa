"""Metrics by name equal the functions of these names, for any layout of the batch."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.metrics import METRIC_NAMES, NamedMetric, chunked_sdr, pesq, sd_sdr, sdr, si_sdr, stoi

RATE = 8000


@pytest.fixture
def signals():
    """References `(2, 3, 2, samples)`, estimates and mixture: noise in syllables."""
    times = torch.arange(2 * RATE) / RATE
    references = 0.1 * torch.randn(2, 3, 2, len(times)) * (1 + torch.sin(8 * torch.pi * times))
    return references, references + 0.3 * references.roll(1, dims=1), references.sum(dim=1)


def test_ratios_are_those_of_their_functions(signals):
    references, estimates, mixture = signals
    baseline = mixture[:, None].expand_as(references)
    expected = {
        "si-sdri": si_sdr(references, estimates) - si_sdr(references, baseline),
        "usdri": sdr(references, estimates) - sdr(references, baseline),
        "sd-sdr": sd_sdr(references, estimates),
        # Of two seconds the median is the mean.
        "csdr": chunked_sdr(references, estimates, chunk_length=RATE).mean(dim=-1),
    }
    for name, values in expected.items():
        metric = NamedMetric(name.upper(), RATE)
        torch.testing.assert_close(metric(*signals).float(), values, atol=1e-4, rtol=0)
    assert NamedMetric("csdr", RATE).label == "cSDR"
    short = NamedMetric("csdr", RATE)(*(part[..., :100] for part in signals))
    torch.testing.assert_close(short.float(), sdr(references[..., :100], estimates[..., :100]))


@pytest.mark.slow
def test_figures_of_speech_are_the_mean_of_the_channels(signals):
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    references, estimates, mixture = (part[:1] for part in signals)
    for name, expected in (
        ("pesq", pesq(references, estimates, sample_rate=RATE)),
        ("stoi", stoi(references, estimates, sample_rate=RATE)),
        ("estoi", stoi(references, estimates, sample_rate=RATE, extended=True)),
    ):
        values = NamedMetric(name, RATE)(references, estimates, mixture)
        torch.testing.assert_close(values, expected.mean(dim=-1))
    # Another rate is resampled for PESQ, which is defined at two.
    wide = NamedMetric("pesq", 44100)(references, estimates, mixture)
    assert wide.shape == (1, 3)
    assert ((wide > 1) & (wide < 4.7)).all()


def test_a_name_that_is_none_is_refused():
    with pytest.raises(UsageError, match=f"no metric 'loudness'; there are {', '.join(METRIC_NAMES)}"):
        NamedMetric("loudness", RATE)
