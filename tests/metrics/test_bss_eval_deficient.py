"""BSS Eval where museval and mir_eval fail: silence, and references without full rank."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recorded_bss_eval import FIXTURES, RATIOS, Vector, assert_same, mixed, noise
from soloist.audio import read_audio
from soloist.metrics import bss_eval

CLIP = "data/musdb-sample/Music Delta - 80s Rock.stem.mp4"
TRUNCATED = {
    "sdr": [11.391, 14.527],
    "isr": [18.246, 20.320],
    "sir": [16.727, 21.239],
    "sar": [12.947, 16.527],
}
SHORT: dict[str, Any] = {"window": 1000, "hop": 1000, "filter_length": 32}
SECONDS: dict[str, Any] = {"window": 44_100, "hop": 44_100}
PIECES: dict[str, Any] = {"window": 8000, "hop": 8000}


def band_limited(sources: int = 2, samples: int = 24_000) -> Tensor:
    """Noise with a falling spectrum, as of music, band-limited to half of the bandwidth."""
    spectrum = torch.fft.rfft(10 * noise(sources, 2, samples))
    bins = torch.arange(spectrum.shape[-1])
    return torch.fft.irfft(spectrum / (1 + bins / 50) * (bins < len(bins) // 2), n=samples)


class TestSilence:
    @pytest.mark.parametrize("which", ["reference", "estimate"])
    @pytest.mark.parametrize("framewise", [False, True])
    def test_a_silent_window_is_nan_for_all_sources_and_nothing_else_is(self, which, framewise):
        references = noise(2, 2, 4000)
        estimates = mixed(references)
        (references if which == "reference" else estimates)[1, :, 1000:2000] = 0
        result = bss_eval(references, estimates, framewise_filters=framewise, **SHORT)
        for name in RATIOS:
            assert getattr(result, name).isnan().tolist() == [[False, True, False, False]] * 2

    def test_exactly_opposite_channels_are_not_silent(self, shared):
        # museval tests the sum of the channels for zero.
        with np.load(shared / "reference" / "bsseval" / "silent_second.npz") as stored:
            source, window = stored["antiphase/source_and_window"]
            defect = stored["antiphase/sdr"][:, window]
        vector = Vector(shared / "reference" / "bsseval" / "silent_second.npz")
        piece = vector.references[source, :, window * 8000 : (window + 1) * 8000]
        piece[1] = -piece[0]
        result = vector.run()
        assert np.isnan(defect).all()
        assert result.sdr[:, window].isfinite().all()

    @pytest.mark.parametrize("which", ["reference", "estimate", "both"])
    @pytest.mark.parametrize("framewise", [False, True])
    def test_a_source_that_is_always_silent_costs_nobody_else_the_scores(self, which, framewise):
        references = noise(3, 2, 4000)
        estimates = mixed(references)
        if which != "estimate":
            references[1] = 0
        if which != "reference":
            estimates[1] = 0
        result = bss_eval(references, estimates, framewise_filters=framewise, **SHORT)
        assert result.sdr[1].isnan().all()
        assert not result.rank_deficient
        for name in RATIOS:
            assert getattr(result, name)[[0, 2]].isfinite().all()
        if which == "reference":
            others = [0, 2]
            without = bss_eval(references[others], estimates[others], framewise_filters=framewise, **SHORT)
            torch.testing.assert_close(result.sir[others], without.sir, rtol=0, atol=1e-9)

    def test_nothing_but_silence_is_nan(self):
        result = bss_eval(torch.zeros(2, 2, 3000), torch.zeros(2, 2, 3000), permutation=True, **SHORT)
        assert all(getattr(result, name).isnan().all() for name in RATIOS)
        assert result.permutation.tolist() == [[0], [1]]

    def test_one_silent_channel_is_no_deficiency(self):
        references = noise(2, 2, 4000)
        references[0, 1] = 0
        result = bss_eval(references, mixed(references), **SHORT)
        assert not result.rank_deficient
        assert all(getattr(result, name).isfinite().all() for name in RATIOS)


class TestRankDeficiency:
    @pytest.mark.parametrize("disturb", ["dither 1e-7", "dither 1e-5", "16 bits", "float32"])
    def test_band_limited_references_have_stable_ratios(self, disturb):
        references = band_limited()
        estimates = mixed(references)
        clean = bss_eval(references, estimates, **PIECES)
        assert clean.rank_deficient
        if disturb.startswith("dither"):
            level = 10 * float(disturb.split()[1])
            references, estimates = references + level * noise(2, 2, 24_000, seed=5), estimates
        elif disturb == "16 bits":
            references = (references * 32768).round() / 32768
        else:
            references, estimates = references.float(), estimates.float()
        assert_same(bss_eval(references, estimates, **PIECES), clean, tolerance=0.1)

    def test_threads_change_nothing(self):
        references = band_limited()
        before = torch.get_num_threads()
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(bss_eval(references, mixed(references), **PIECES))
        torch.set_num_threads(before)
        assert_same(*results, tolerance=1e-3)

    def test_dual_mono_scores_like_its_mono(self):
        mono = noise(2, 1, 24_000)
        estimates = mixed(mono)
        expected = bss_eval(mono, estimates, **PIECES)
        result = bss_eval(mono.expand(-1, 2, -1), estimates.expand(-1, 2, -1), **PIECES)
        assert result.rank_deficient
        assert not expected.rank_deficient
        assert_same(result, expected, tolerance=1e-3)

    def test_a_quiet_source_is_not_a_deficiency(self):
        stereo = Vector(FIXTURES / "stereo_v4.npz")
        scale = torch.tensor([1.0, 1e-4], dtype=torch.float64)[:, None, None]
        estimates = stereo.references * scale + 1e-3 * noise(*stereo.references.shape)
        quiet = bss_eval(stereo.references * scale, estimates, **stereo.options)
        assert not quiet.rank_deficient

    @pytest.mark.parametrize("dither", [0, 1e-7, 1e-5])
    def test_a_real_clip_has_the_figures_of_a_truncated_solve(self, dither, shared):
        """TDC-17 on three seconds of AAC, band-limited to 16 kHz; SIR of museval: 0.4 and 0.1 dB."""
        stems = []
        for index in range(5):
            audio, _ = read_audio(shared / CLIP, stream=index, duration=3.0)
            stems.append(torch.from_numpy(audio).double())
        mixture, drums, bass, other, vocals = stems
        with np.load(shared / "reference" / "tdc17" / "vocals_top3.npz") as stored:
            estimate = torch.from_numpy(stored["output"]).double()
        references = torch.stack([vocals, drums + bass + other])
        estimates = torch.stack([estimate, mixture - estimate])
        references = references + 10 * dither * noise(*references.shape, seed=2)
        estimates = estimates + 10 * dither * noise(*references.shape, seed=3)
        result = bss_eval(references, estimates, **SECONDS)
        assert result.rank_deficient
        # From an eigenvalue decomposition without the eigenvalues below 1e-8 of the largest.
        for name, expected in TRUNCATED.items():
            medians = getattr(result, name).median(dim=1).values
            torch.testing.assert_close(medians, torch.tensor(expected).double(), rtol=0, atol=0.1)

    def test_without_a_tolerance_it_is_museval_on_references_of_16_bits(self, shared):
        """Regression data of museval: random estimates, which fill the band that AAC leaves empty."""
        published = json.loads((shared / "data/musdb-sample/museval-random-estimates.json").read_text())
        stems = np.stack([read_audio(shared / CLIP, stream=index)[0] for index in range(1, 5)])
        drums, bass, other, vocals = torch.from_numpy(np.round(stems * 32768.0) / 32768).double()
        random = np.random.RandomState(0)
        estimates = torch.from_numpy(np.stack([random.random_sample(vocals.T.shape).T for _ in range(2)]))
        references = torch.stack([vocals, drums + bass + other])
        result = bss_eval(references, estimates, rank_tolerance=0, **SECONDS)
        robust = bss_eval(references, estimates, **SECONDS)
        assert robust.rank_deficient
        for row, target in enumerate(published["targets"]):
            assert target["name"] == ("vocals", "accompaniment")[row]
            for name in RATIOS:
                expected = [frame["metrics"][name.upper()] for frame in target["frames"]]
                np.testing.assert_allclose(getattr(result, name)[row].numpy(), expected, rtol=0, atol=0.1)
            np.testing.assert_allclose(robust.sdr[row].numpy(), result.sdr[row].numpy())
