"""Whether one system is better than another."""

import pytest

from soloist.evaluation import load_results
from soloist.evaluation.comparison import compare_with_best
from synthetic_results import write_system

pytest.importorskip("scipy", reason="paired tests need scipy, of the extra metrics")


def _results(folder, **means):
    for name, mean in means.items():
        write_system(folder, name, mean=mean, tracks=8)
    return load_results([folder])


def test_the_best_is_compared_with_each_other_one(tmp_path):
    comparisons = compare_with_best(_results(tmp_path, bad=0.0, best=20.0, good=10.0))
    assert [(found.target, found.best, found.other) for found in comparisons] == [
        ("vocals", "best", "good"),
        ("vocals", "best", "bad"),
        ("accompaniment", "best", "good"),
        ("accompaniment", "best", "bad"),
    ]
    for found in comparisons:
        assert found.test.num_pairs == 8
        assert found.test.effect_size == 1
        # Eight of eight: twice 2^-8, and that twice for two comparisons.
        assert found.p_value == pytest.approx(4 / 256)


def test_only_tracks_that_both_have_are_compared(tmp_path):
    write_system(tmp_path, "short", mean=0.0, tracks=5)
    write_system(tmp_path, "tiny", mean=-5.0, tracks=4)
    (vocals, _) = compare_with_best(_results(tmp_path, best=20.0))
    assert (vocals.other, vocals.test.num_pairs) == ("short", 5)


def test_one_system_is_compared_with_nothing(tmp_path):
    assert compare_with_best(_results(tmp_path, alone=3.0)) == []
