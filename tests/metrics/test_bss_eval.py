"""BSS Eval, compared with museval and mir_eval, and with exact values where both fail."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recorded_bss_eval import FIXTURES, RATIOS, Vector, assert_same, mixed, noise
from soloist.errors import UsageError
from soloist.metrics import bss_eval

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


@pytest.fixture(scope="module")
def stereo() -> Vector:
    return Vector(FIXTURES / "stereo_v4.npz")


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
