"""Peaks of waveforms."""

import numpy as np
import pytest

from soloist.players import ZOOMS, PeakMeter


@pytest.mark.parametrize("zoom", ZOOMS)
@pytest.mark.parametrize("block", [1000, 4096, 70000])
def test_each_bin_has_the_extremes_of_its_samples(zoom, block):
    audio = np.random.default_rng(0).uniform(-1, 1, (2, 70000)).astype(np.float32)
    meter = PeakMeter()
    for start in range(0, audio.shape[1], block):
        meter.add(audio[:, start : start + block])
    bins = [audio[:, start : start + zoom] for start in range(0, audio.shape[1], zoom)]
    expected = np.round(127 * np.array([[each.min(), each.max()] for each in bins]))
    np.testing.assert_array_equal(meter.peaks(zoom), expected)


def test_what_is_too_loud_is_full_scale():
    meter = PeakMeter()
    meter.add(np.array([[-2.0, 0.0, 1.5]], np.float32))
    assert meter.peaks(256).tolist() == [[-127, 127]]


def test_nothing_has_no_peaks():
    assert PeakMeter().peaks(1024).shape == (0, 2)
