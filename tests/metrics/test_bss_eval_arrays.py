"""BSS Eval on arrays as museval and mir_eval take them, compared with recorded runs of both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from soloist.errors import UsageError
from soloist.metrics import bss_eval_sources, museval_evaluate

STEREO = Path(__file__).parents[1] / "fixtures" / "bsseval" / "stereo_v4.npz"


def test_arrays_of_museval_give_what_museval_gives():
    with np.load(STEREO) as stored:
        config = json.loads(str(stored["config"]))
        references, estimates = (stored[name] * config["scale"] for name in ("ref", "est"))
        expected = [stored[name] for name in ("sdr", "isr", "sir", "sar")]
    options = {"win": config["bss_eval_arguments"]["window"], "hop": config["bss_eval_arguments"]["hop"]}
    ratios = museval_evaluate(references, estimates, **options)
    for given, wanted in zip(ratios, expected, strict=True):
        assert isinstance(given, np.ndarray)
        np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-8)
    # Estimates of another length are padded or cut.
    shorter = np.array(estimates)
    shorter[:, -100:] = 0
    longer = np.concatenate([shorter, np.ones_like(shorter[:, :50])], axis=1)
    cut, padded = (museval_evaluate(references, each, **options) for each in (longer, shorter[:, :-100]))
    np.testing.assert_array_equal(cut, padded)
    with pytest.raises(UsageError, match="must both be"):
        museval_evaluate(references, shorter[:, :-100], padding=False, **options)


def test_arrays_of_mir_eval_give_what_mir_eval_gives(shared):
    with np.load(shared / "reference" / "bsseval" / "mono_3src_sources.npz") as stored:
        references, estimates = (stored[name] * 2.0**-15 for name in ("ref", "est"))
        outputs = dict(stored)
    for option, permute in (("permutation", True), ("no_permutation", False)):
        given = bss_eval_sources(references, estimates, compute_permutation=permute)
        for name, values in zip(("sdr", "sir", "sar", "perm"), given, strict=True):
            expected = outputs[f"output/mir_eval|{option}|{name}"]
            assert values.shape == (3,)
            np.testing.assert_allclose(values, expected.reshape(3), rtol=0, atol=1e-8)


def test_shapes_that_are_none_of_theirs_are_named():
    with pytest.raises(
        UsageError, match=r"both be \(sources, samples\), not \(2, 100, 2\) and \(2, 100, 2\)"
    ):
        bss_eval_sources(np.ones((2, 100, 2)), np.ones((2, 100, 2)))
    with pytest.raises(UsageError, match=r"samples, channels\), not \(2, 100, 2\) and \(3, 100, 2\)"):
        museval_evaluate(np.ones((2, 100, 2)), np.ones((3, 100, 2)))
    with pytest.raises(UsageError, match="mode is v4 or v3, not 'v5'"):
        museval_evaluate(np.ones((2, 100, 2)), np.ones((2, 100, 2)), mode="v5")
