"""Targets as sums of stems."""

import numpy as np
import pytest

from soloist.datasets import components, sum_of

STEMS = ("vocals", "drums", "bass", "other")


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("bass", ("bass",)),
        ("accompaniment", ("drums", "bass", "other")),
        ("no_vocals", ("drums", "bass", "other")),
        ("no_drums", ("vocals", "bass", "other")),
        ("percussive", ("drums",)),
        ("harmonic", ("vocals", "bass", "other")),
        ("residual", ()),
        ("no_piano", ()),
        ("no_", ()),
    ],
)
def test_a_target_is_a_sum_of_stems(target, parts):
    assert components(target, STEMS) == parts


def test_a_stem_of_the_corpus_is_itself_even_if_named_like_a_union():
    assert components("accompaniment", ("vocals", "accompaniment")) == ("accompaniment",)
    assert components("no_vocals", ("vocals",)) == ()


def test_the_sum_is_that_of_the_stems():
    stems = {name: np.full((2, 3), 2.0**index, np.float32) for index, name in enumerate(STEMS)}
    np.testing.assert_array_equal(sum_of(stems, "accompaniment"), np.full((2, 3), 14))
    assert sum_of(stems, "bass") is stems["bass"]
