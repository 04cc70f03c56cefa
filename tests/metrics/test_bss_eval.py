"""BSS Eval, compared with museval and mir_eval, and with exact values where both fail."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from soloist.audio import read_audio
from soloist.errors import UsageError
from soloist.metrics import bss_eval

CLIP = "data/musdb-sample/Music Delta - 80s Rock.stem.mp4"
TRUNCATED = {
    "sdr": [11.391, 14.527],
    "isr": [18.246, 20.320],
    "sir": [16.727, 21.239],
    "sar": [12.947, 16.527],
}
FIXTURES = Path(__file__).parents[1] / "fixtures" / "bsseval"
RATIOS = ("sdr", "isr", "sir", "sar")
CASES = [
    "mono_framewise_permutation",
    "mono_permutation",
    "music_4src_44k",
    "overlap_short_filters",
    "silent_second",
    "stereo_sources_version",
    "stereo_v3_framewise",
    "stereo_v4",
    "stereo_whole_signal",
]


class Vector:
    """Recorded run of museval."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as stored:
            self.arrays = dict(stored)
        config = json.loads(str(self.arrays["config"]))
        self.references, self.estimates = (
            torch.from_numpy(self.arrays[name].swapaxes(1, 2) * config["scale"]) for name in ("ref", "est")
        )
        arguments = config["bss_eval_arguments"]
        self.options = {
            "window": float(arguments["window"]),
            "hop": float(arguments["hop"]),
            "filter_length": arguments["filters_len"],
            "framewise_filters": arguments["framewise_filters"],
            "sources_version": arguments["bsseval_sources_version"],
            "permutation": arguments["compute_permutation"],
        }

    def run(self, **changes: Any):
        return bss_eval(self.references, self.estimates, **{**self.options, **changes})

    def check(self, result, prefix: str = "") -> None:
        for name in RATIOS:
            np.testing.assert_allclose(
                getattr(result, name).numpy(), self.arrays[prefix + name], rtol=0, atol=1e-8, err_msg=name
            )


@pytest.fixture(scope="module")
def stereo() -> Vector:
    return Vector(FIXTURES / "stereo_v4.npz")


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def mixed(references: Tensor, seed: int = 1) -> Tensor:
    """Estimates with every kind of error, in the order of the references."""
    leaked = 0.8 * references + 0.1 * references.flip(0)
    leaked[..., 3:] += 0.2 * references[..., :-3]
    return leaked + 0.1 * noise(*references.shape, seed=seed)


def band_limited(sources: int = 2, samples: int = 24_000) -> Tensor:
    """Noise with a falling spectrum, as of music, band-limited to half of the bandwidth."""
    spectrum = torch.fft.rfft(10 * noise(sources, 2, samples))
    bins = torch.arange(spectrum.shape[-1])
    return torch.fft.irfft(spectrum / (1 + bins / 50) * (bins < len(bins) // 2), n=samples)


def assert_same(first, second, tolerance: float = 1e-9) -> None:
    for name in RATIOS:
        torch.testing.assert_close(
            getattr(first, name), getattr(second, name), rtol=0, atol=tolerance, equal_nan=True
        )


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.npz")), ids=lambda path: path.stem)
def test_meets_the_fixtures(path):
    vector = Vector(path)
    result = vector.run()
    vector.check(result)
    assert not result.rank_deficient
    assert np.array_equal(result.permutation.numpy(), vector.arrays["perm"])


@pytest.mark.parametrize("name", CASES)
def test_meets_every_vector(name, shared):
    vector = Vector(shared / "reference" / "bsseval" / f"{name}.npz")
    result = vector.run()
    vector.check(result)
    assert not result.rank_deficient
    assert np.array_equal(result.permutation.numpy(), vector.arrays["perm"])


@pytest.mark.parametrize(
    ("option", "changes"),
    [
        ("mir_eval|permutation", {}),
        ("mir_eval|no_permutation", {"permutation": False}),
        ("museval_bss_eval_sources", {}),
        ("fast_bss_eval|permutation", {}),
        ("fast_bss_eval|filter_length_64", {"filter_length": 64}),
        ("fast_bss_eval|filter_length_1", {"filter_length": 1}),
        ("fast_bss_eval|zero_mean", {}),
    ],
)
def test_the_sources_version_meets_three_packages(option, changes, shared):
    with np.load(shared / "reference" / "bsseval" / "mono_3src_sources.npz") as stored:
        references, estimates = (
            torch.from_numpy(stored[name] * 2.0**-15)[:, None] for name in ("ref", "est")
        )
        expected = {
            name: stored[f"output/{option}|{name}"].reshape(3, 1) for name in ("sdr", "sir", "sar", "perm")
        }
    if "zero_mean" in option:
        references, estimates = (x - x.mean(dim=-1, keepdim=True) for x in (references, estimates))
    options = {"window": math.inf, "hop": math.inf, "sources_version": True, "permutation": True}
    result = bss_eval(references, estimates, **{**options, **changes})
    for name in ("sdr", "sir", "sar"):
        np.testing.assert_allclose(getattr(result, name).numpy(), expected[name], rtol=0, atol=1e-8)
    assert np.array_equal(result.permutation.numpy(), expected["perm"])
    assert result.isr.isnan().all()


class TestPermutation:
    def test_a_silent_window_does_not_switch_it_off(self, shared):
        # museval's mean over windows is NaN then, and its choice is always the first order.
        vector = Vector(shared / "reference" / "bsseval" / "silent_second.npz")
        straight = vector.run()
        result = bss_eval(
            vector.references, vector.estimates.flip(0), **{**vector.options, "permutation": True}
        )
        assert result.permutation.tolist() == [[1], [0]]
        assert_same(result, straight)
        assert not np.allclose(result.sdr, vector.arrays["swapped_permutation/sdr"], equal_nan=True)

    @settings(max_examples=8, deadline=None)
    @given(order=st.permutations(range(3)), framewise=st.booleans())
    def test_any_order_of_the_estimates_is_found(self, order, framewise):
        references = noise(3, 1, 3000)
        estimates = mixed(references)
        options = {"window": 1000, "hop": 1000, "filter_length": 16, "framewise_filters": framewise}
        straight = bss_eval(references, estimates, **options)
        result = bss_eval(references, estimates[list(order)], permutation=True, **options)
        assert_same(result, straight)
        assert result.permutation.shape == ((3, 3) if framewise else (3, 1))
        assert result.permutation[:, 0].tolist() == [order.index(source) for source in range(3)]

    def test_a_silent_estimate_is_left_for_the_source_that_nothing_else_fits(self):
        references = noise(3, 1, 3000)
        estimates = mixed(references)[[2, 1, 0]]
        estimates[1] = 0
        result = bss_eval(references, estimates, window=1000, hop=1000, filter_length=16, permutation=True)
        assert result.permutation.tolist() == [[2], [1], [0]]
        assert result.sdr.isnan().tolist() == [[False] * 3, [True] * 3, [False] * 3]


SHORT: dict[str, Any] = {"window": 1000, "hop": 1000, "filter_length": 32}
SECONDS: dict[str, Any] = {"window": 44_100, "hop": 44_100}
PIECES: dict[str, Any] = {"window": 8000, "hop": 8000}


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

    def test_a_quiet_source_is_not_a_deficiency(self, stereo):
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


class TestWindows:
    def test_the_rest_at_the_end_is_dropped(self):
        references = noise(2, 1, 3500)
        result = bss_eval(references, mixed(references), window=1000, hop=1000, filter_length=8)
        assert result.sdr.shape == (2, 3)

    def test_a_window_longer_than_the_signal_is_the_signal(self):
        references = noise(2, 1, 3500)
        whole = bss_eval(references, mixed(references), window=math.inf, hop=math.inf, filter_length=8)
        longer = bss_eval(references, mixed(references), window=9999, hop=10, filter_length=8)
        assert whole.sdr.shape == (2, 1)
        assert_same(whole, longer, tolerance=0)

    def test_long_windows_are_measured_in_pieces(self):
        references = noise(2, 1, 700_000)
        estimates = mixed(references)
        whole = bss_eval(references, estimates, window=math.inf, hop=math.inf, filter_length=4)
        error = (estimates - references).square().sum(dim=(1, 2))
        expected = 10 * torch.log10(references.square().sum(dim=(1, 2)) / error)
        torch.testing.assert_close(whole.sdr[:, 0], expected, rtol=0, atol=1e-9)
        padded = torch.nn.functional.pad(references[:, 0], (3, 3))
        delayed = torch.cat([padded.unfold(-1, 4, 1)[source] for source in range(2)], dim=1)
        target = torch.nn.functional.pad(estimates[0, 0], (0, 3))
        explained = delayed @ torch.linalg.lstsq(delayed, target[:, None]).solution[:, 0]
        sar = 10 * torch.log10(explained.square().sum() / (target - explained).square().sum())
        torch.testing.assert_close(whole.sar[0, 0], sar, rtol=0, atol=1e-9)

    @settings(max_examples=15, deadline=None)
    @given(
        samples=st.integers(1, 900),
        taps=st.integers(1, 12),
        window=st.integers(1, 1200),
        hop=st.floats(0.5, 700),
        channels=st.integers(1, 2),
    )
    def test_any_sizes_give_finite_ratios(self, samples, taps, window, hop, channels):
        references = noise(2, channels, samples) + 1
        estimates = references + noise(2, channels, samples, seed=3)
        result = bss_eval(references, estimates, window=window, hop=hop, filter_length=taps)
        count = 1 if window >= samples else math.floor((samples - window + hop) / hop)
        assert result.sdr.shape == (2, count)
        expected = references[:, :, : min(window, samples)], estimates[:, :, : min(window, samples)]
        energies = expected[0].square().sum((1, 2)), (expected[0] - expected[1]).square().sum((1, 2))
        torch.testing.assert_close(result.sdr[:, 0], 10 * torch.log10(energies[0] / energies[1]))

    def test_a_window_alone_scores_the_same_sdr_with_filters_of_its_own(self):
        references = noise(2, 2, 4000)
        estimates = mixed(references)
        options = {"window": 1000, "hop": 1000, "filter_length": 16}
        together = bss_eval(references, estimates, framewise_filters=True, **options)
        alone = bss_eval(references[..., 2000:3000], estimates[..., 2000:3000], **options)
        for name in RATIOS:
            torch.testing.assert_close(
                getattr(together, name)[:, 2:3], getattr(alone, name), rtol=0, atol=1e-9
            )


def test_a_perfect_estimate_has_an_infinite_sdr(stereo):
    result = bss_eval(stereo.references, stereo.references.clone(), **stereo.options)
    assert (result.sdr == math.inf).all()
    assert (result.sir > 100).all()


def test_a_single_source_has_no_interference():
    references = noise(1, 2, 4000)
    result = bss_eval(references, mixed(references), window=2000, hop=2000, filter_length=16)
    assert (result.sir == math.inf).all()
    assert result.sar.isfinite().all()


@settings(max_examples=10, deadline=None)
@given(decibels=st.floats(-60, 60))
def test_gain_of_everything_changes_nothing(decibels):
    references = noise(2, 1, 2000)
    estimates = mixed(references)
    options = {"window": 1000, "hop": 1000, "filter_length": 8}
    gain = 10 ** (decibels / 20)
    assert_same(
        bss_eval(gain * references, gain * estimates, **options),
        bss_eval(references, estimates, **options),
        tolerance=1e-8,
    )


def test_nan_in_an_estimate_costs_nobody_else_the_scores(stereo):
    estimates = stereo.estimates.clone()
    estimates[0, 0, 8100] = math.nan
    result = bss_eval(stereo.references, estimates, **stereo.options)
    assert result.sdr[0].isnan().tolist() == [False, True, False]
    assert result.sir[0].isnan().all()
    for name in RATIOS:
        np.testing.assert_allclose(getattr(result, name)[1].numpy(), stereo.arrays[name][1], atol=1e-8)


def test_nan_in_a_reference_raises_nothing(stereo):
    references = stereo.references.clone()
    references[0, 0, 8100] = math.nan
    result = bss_eval(references, stereo.estimates, **stereo.options)
    assert not result.rank_deficient
    assert result.sdr[1].isfinite().all()
    assert result.isr[1].isfinite().all()
    assert result.sir.isnan().all()


def test_inputs_are_not_modified(stereo):
    references, estimates = stereo.references.clone(), stereo.estimates.clone()
    bss_eval(references, estimates, **stereo.options)
    assert torch.equal(references, stereo.references)
    assert torch.equal(estimates, stereo.estimates)


def test_float32_input_is_computed_in_float64(stereo):
    result = bss_eval(stereo.references.float(), stereo.estimates.float(), **stereo.options)
    assert result.sdr.dtype == torch.float64
    stereo.check(result)  # The vectors are on the grid of 16 bits, so that nothing is lost.


@pytest.mark.parametrize(
    ("references", "estimates", "options", "message"),
    [
        ((2, 1, 100), (2, 1, 101), {}, "101"),
        ((2, 100), (2, 100), {}, "channels, samples"),
        ((2, 1, 0), (2, 1, 0), {}, "not empty"),
        ((2, 1, 100), (2, 1, 100), {"window": 0}, "window 0"),
        ((2, 1, 100), (2, 1, 100), {"hop": -1.0}, "hop -1"),
        ((2, 1, 100), (2, 1, 100), {"filter_length": 0}, "filter_length 0"),
    ],
)
def test_what_cannot_be_scored_is_named(references, estimates, options, message):
    with pytest.raises(UsageError, match=message):
        bss_eval(noise(*references), noise(*estimates), **{"window": 100, "hop": 100, **options})
