"""Streams between the parts of ensembles and chains: flat memory, levels, progress."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from soloist.audio import share_blocks
from soloist.inference import measure_level, separate_stream
from soloist.separators import Chain, ChainStep, Ensemble
from soloist.separators.composite_separator import StoredPart
from toy_separators import Smoother


def blocks(seconds: int, channels: int = 2):
    """Seconds of noise at 8 kHz."""
    random = np.random.default_rng(0)
    for _ in range(seconds):
        yield (0.2 * random.standard_normal((channels, 8000)) + 0.1).astype(np.float32)


class LongChunks(Smoother):
    """A smoother with chunks of half a second."""

    chunk_length = 4000


def smoother(reach: int, **kwargs) -> Smoother:
    return LongChunks(reach=reach, channels=2, **kwargs)


def chain(**kwargs) -> Chain:
    steps = [
        ChainStep(smoother(7)),
        ChainStep(smoother(40, **kwargs), "smooth", {"smooth": "low"}, rest="middle"),
        ChainStep(smoother(3), "rough", {"smooth": "high"}, rest="hiss"),
    ]
    return Chain(steps)


def stored(separator):
    """The same with parts that are loaded when they separate."""
    for place, part in enumerate(separator.parts):
        separator.stored[place] = StoredPart(lambda part=part: part, str(place))
    return separator


def ensemble(method="average") -> Ensemble:
    return Ensemble([smoother(3), smoother(9, sample_rate=6000), smoother(20)], method=method)


@pytest.mark.parametrize(
    "make", [chain, ensemble, lambda: stored(chain()), lambda: chain(normalization="track")]
)
def test_memory_does_not_depend_on_the_length(make):
    def peak(seconds: int) -> int:
        tracemalloc.start()
        samples = sum(mixture.shape[1] for mixture, _ in separate_stream(make(), blocks(seconds), 8000))
        assert samples == 8000 * seconds
        return tracemalloc.get_traced_memory()[1]

    try:
        peak(8)
        assert peak(50) < 1.2 * peak(20)
    finally:
        tracemalloc.stop()


def test_members_are_normalised_by_the_level_of_the_track():
    member = smoother(3, normalization="track", bias=0.1)
    level = measure_level(blocks(3))

    def separate(separator):
        pieces = [estimates for _, estimates in separate_stream(separator, blocks(3), 8000, level=level)]
        return np.concatenate(pieces, axis=-1)

    both = Ensemble([member, member])
    assert both.measures_track
    np.testing.assert_allclose(separate(both), separate(member), atol=1e-6)


def test_each_part_reports_the_seconds_that_it_has_taken():
    heard: list[float] = []
    for _ in separate_stream(stored(chain()), blocks(4), 8000, heard=heard.append):
        pass
    assert sum(heard) == pytest.approx(3 * 4)


def test_what_all_copies_have_passed_is_let_go():
    class Block:
        alive = 0

        def __init__(self) -> None:
            Block.alive += 1

        def __del__(self) -> None:
            Block.alive -= 1

    first, second = share_blocks((Block() for _ in range(100)), 2)
    for one, other in zip(first, second, strict=True):
        assert one is other
        assert Block.alive <= 3
    ahead, behind = share_blocks(range(5), 2)
    assert [next(ahead), next(ahead), *behind, *ahead] == [0, 1, 0, 1, 2, 3, 4, 2, 3, 4]


def test_each_item_of_a_batch_is_separated_by_itself():
    mixture = torch.randn(3, 2, 500, dtype=torch.float32)
    whole = ensemble()(mixture)
    assert whole.shape == (3, 2, 2, 500)
    torch.testing.assert_close(whole[1:2], ensemble()(mixture[1:2]))
