"""PESQ and STOI equal those of their packages for any shape, and no input raises."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from soloist.errors import UsageError
from soloist.metrics import pesq, stoi


def speechlike(seconds: float, rate: int) -> torch.Tensor:
    """Noise in syllables of a quarter of a second."""
    generator = torch.Generator().manual_seed(1)
    times = torch.arange(int(seconds * rate)) / rate
    return 0.1 * torch.randn(len(times), generator=generator) * (1 + torch.sin(8 * torch.pi * times))


class TestStoi:
    @pytest.fixture(autouse=True)
    def _package(self):
        pytest.importorskip("pystoi", reason="pystoi is in the extra metrics")

    @pytest.mark.parametrize("rate", [10000, 16000])
    @pytest.mark.parametrize("extended", [False, True])
    def test_meets_the_vectors(self, rate, extended, shared):
        with np.load(shared / "reference" / "stoi" / "stoi.npz") as stored:
            clean, processed = (
                torch.from_numpy(stored[f"{key}_{rate}"] * 2.0**-15) for key in ("clean", "processed")
            )
            expected = float(stored[f"{'e' if extended else ''}stoi_{rate}"])
        result = stoi(clean, processed, sample_rate=rate, extended=extended)
        assert float(result) == pytest.approx(expected, abs=1e-6)

    def test_each_of_a_batch_is_scored_by_itself(self):
        clean = speechlike(1, 10000)
        noisy = clean + 0.2 * torch.randn(len(clean), generator=torch.Generator().manual_seed(2))
        result = stoi(clean.expand(2, 1, -1), torch.stack([clean, noisy])[:, None], sample_rate=10000)
        assert result.shape == (2, 1)
        assert result[0].item() == pytest.approx(1)
        assert result[1].item() == pytest.approx(stoi(clean, noisy, sample_rate=10000).item())
        assert result[1].item() < 0.95

    def test_what_cannot_be_measured_is_nan(self):
        clean = speechlike(1, 10000)
        assert stoi(0 * clean, clean, sample_rate=10000).isnan()
        assert stoi(clean[:100], clean[:100], sample_rate=10000).isnan()
        assert stoi(clean[:4100], clean[:4100] * torch.nan, sample_rate=10000).isnan()
        mostly_silent = torch.cat([clean[:1000], torch.zeros(9000)])
        assert stoi(mostly_silent, clean, sample_rate=10000).isnan()


class TestPesq:
    @pytest.fixture(autouse=True)
    def _package(self):
        pytest.importorskip("pesq", reason="pesq is in the extra metrics")

    @pytest.mark.parametrize(("rate", "band", "best"), [(8000, "narrow", 4.549), (16000, "wide", 4.644)])
    def test_clean_speech_has_the_highest_score_of_the_recommendation(self, rate, band, best):
        clean = speechlike(1.5, rate)
        noisy = clean + 0.1 * torch.randn(len(clean), generator=torch.Generator().manual_seed(2))
        scores = pesq(clean.expand(2, -1), torch.stack([clean, noisy]), sample_rate=rate, band=band)
        assert scores[0].item() == pytest.approx(best, abs=1e-3)
        assert 1 <= scores[1] < 4

    def test_what_cannot_be_measured_is_nan(self):
        clean = speechlike(1, 16000)
        assert pesq(0 * clean, clean, sample_rate=16000).isnan()
        assert pesq(clean[:100], clean[:100], sample_rate=16000).isnan()
        assert pesq(clean, clean * torch.nan, sample_rate=16000).isnan()

    @pytest.mark.parametrize(("rate", "band"), [(44100, None), (8000, "wide")])
    def test_other_rates_are_refused(self, rate, band):
        with pytest.raises(UsageError, match=f"{rate} Hz"):
            pesq(torch.ones(10), torch.ones(10), sample_rate=rate, band=band)


@pytest.mark.parametrize(("metric", "package"), [(pesq, "pesq"), (stoi, "pystoi")])
def test_a_missing_package_is_named_with_its_extra(metric, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"{package}.*soloist\[metrics\]"):
        metric(torch.ones(16000), torch.ones(16000), sample_rate=16000)
