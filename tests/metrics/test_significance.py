import math

import numpy as np
import pytest

from soloist.errors import UsageError
from soloist.metrics import holm, paired_test

pytest.importorskip("scipy", reason="scipy is in the extra metrics")


def test_exact_probability_of_a_few_pairs():
    # Six differences of one sign: 2 of the 2^6 assignments of signs are as extreme.
    result = paired_test([2, 4, 6, 8, 10, 12], [1, 2, 3, 4, 5, 6])
    assert result.p_value == pytest.approx(2 / 64)
    assert result.effect_size == 1
    assert result.median_difference == 3.5
    assert result.num_pairs == 6


def test_order_of_the_systems_is_the_sign():
    random = np.random.default_rng(0)
    first, second = random.normal(size=20), random.normal(0.2, 1, size=20)
    forth, back = paired_test(first, second), paired_test(second, first)
    assert forth.effect_size == pytest.approx(-back.effect_size)
    assert forth.p_value == pytest.approx(back.p_value)
    assert forth.median_difference == pytest.approx(-back.median_difference)


def test_pairs_without_two_scores_are_left_out():
    assert paired_test([1, math.nan, 5, math.inf], [0, 2, 3, 1]).num_pairs == 2


def test_no_difference_and_no_pairs():
    same = paired_test([1, 2], [1, 2])
    assert (same.p_value, same.effect_size, same.median_difference) == (1, 0, 0)
    none = paired_test([math.nan], [1])
    assert none.num_pairs == 0
    assert math.isnan(none.p_value)


def test_scores_of_other_tracks_are_refused():
    with pytest.raises(UsageError, match="2 scores cannot be paired with 3"):
        paired_test([1, 2], [1, 2, 3])


def test_holm_multiplies_by_the_comparisons_left_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    adjusted = holm([math.nan, 0.02])
    assert math.isnan(adjusted[0])
    assert adjusted[1] == 0.02
    assert holm([]) == []
