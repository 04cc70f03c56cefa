"""Dither by its theory (Lipshitz, Wannamaker and Vanderkooy, 1992)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soloist.audio.encode import Quantizer


@pytest.mark.parametrize("offset", [0.001, 0.25, 0.5, 0.75])
def test_mean_and_variance_of_the_error_do_not_depend_on_the_signal(offset):
    level = np.full((1, 200_000), offset / 2**15, np.float32)
    error = Quantizer(16, 0, "a").quantize(level) - offset
    assert error.mean() == pytest.approx(0, abs=0.01)
    assert error.var() == pytest.approx(1 / 4, rel=0.02)  # of the rounding 1/12, of the dither 1/6


def test_channels_stems_and_seeds_have_their_own_dither():
    level = np.full((2, 50_000), 1e-5, np.float32)
    errors = [Quantizer(16, seed, name).quantize(level) for seed, name in [(0, "a"), (0, "b"), (1, "a")]]
    rows = np.concatenate(errors).astype(float)
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlation).max() < 0.02


@given(cut=st.integers(0, 3000))
def test_blocks_make_no_difference(cut):
    audio = np.random.default_rng(0).normal(0, 0.1, (2, 3000)).astype(np.float32)
    whole = Quantizer(24, 7, "a").quantize(audio)
    quantizer = Quantizer(24, 7, "a")
    parts = [quantizer.quantize(audio[:, :cut]), quantizer.quantize(audio[:, cut:])]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("bits", [16, 24])
def test_zero_stays_zero_and_the_rails_hold(bits):
    quantizer = Quantizer(bits, 0, "a")
    assert not quantizer.quantize(np.zeros((2, 1000), np.float32)).any()
    loud = quantizer.quantize(np.tile(np.array([[1e9, -1e9]], np.float32), 500))
    assert (loud.max(), loud.min()) == (2 ** (bits - 1) - 1, -(2 ** (bits - 1)))


@pytest.mark.parametrize(("source", "bits"), [(16, 16), (16, 24), (24, 24)])
def test_what_is_an_integer_already_loses_nothing(source, bits):
    integers = np.random.default_rng(0).integers(-(2 ** (source - 1)), 2 ** (source - 1), (2, 10_000))
    audio = (integers / 2 ** (source - 1)).astype(np.float32)
    np.testing.assert_array_equal(Quantizer(bits, 0, "a").quantize(audio), integers << (bits - source))


@pytest.mark.parametrize("bits", [16, 24])
def test_headroom_is_as_much_as_dither_needs(bits):
    top = 2 ** (bits - 1) - 1
    # Twice as wide a range cannot saturate where this one would: it shows what lies beyond.
    at_limit = np.full((1, 100_000), Quantizer.headroom(bits) / 2, np.float64)
    wide = Quantizer(bits + 1, 0, "a").quantize(at_limit)
    assert wide.max() <= top
    beyond = Quantizer(bits + 1, 0, "a").quantize(at_limit + 1 / 2**bits)
    assert beyond.max() > top
