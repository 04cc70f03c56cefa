"""Choice of several mixers."""

import numpy as np
import pytest

from numbered_tracks import RATE, write_numbered
from soloist.errors import UsageError
from soloist.mixing import PriorMixer, TrackMixer


def mixer(folder, tracks=2, sources=("s1", "s2"), **arguments):
    corpus = write_numbered(folder, (400,) * tracks, ("s1", "s2"))
    return TrackMixer(corpus, "all", sources=sources, **{"sample_rate": RATE, "duration": 0.2, **arguments})


def test_mixers_are_drawn_from_as_likely_as_said(tmp_path):
    first, second = mixer(tmp_path / "a"), mixer(tmp_path / "b", seed=1)
    both = PriorMixer([first, second], [3, 1])
    from_first = []
    for index in range(200):
        example = both.draw(index)
        candidates = [
            np.array_equal(example.references, part.draw(index).references) for part in (first, second)
        ]
        assert any(candidates)
        if not all(candidates):
            from_first.append(candidates[0])
    assert 0.65 < np.mean(from_first) < 0.85


def test_what_it_needs_to_draw_everything_once(tmp_path):
    both = PriorMixer([mixer(tmp_path / "a", 3), mixer(tmp_path / "b", 4)], [0.5, 0.5])
    assert len(both) == 8
    assert (both.sources, both.sample_rate, both.channels, both.duration) == (("s1", "s2"), RATE, 1, 0.2)


@pytest.mark.parametrize(
    ("aspect", "value"),
    [("sources", ("s2", "s1")), ("sample_rate", 500), ("channels", 2), ("duration", 0.1)],
)
def test_mixers_that_do_not_fit_together_are_refused(tmp_path, aspect, value):
    with pytest.raises(UsageError, match=f"differ in {aspect}: "):
        PriorMixer([mixer(tmp_path / "a"), mixer(tmp_path / "b", **{aspect: value})], [1, 1])


@pytest.mark.parametrize("priors", [[], [1], [1, 0], [1, float("nan")]])
def test_priors_must_be_positive_and_one_for_each(tmp_path, priors):
    with pytest.raises(UsageError, match="priors"):
        PriorMixer([mixer(tmp_path / "a"), mixer(tmp_path / "b")], priors)
