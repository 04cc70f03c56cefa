"""Cached examples equal drawn ones, in any process."""

from __future__ import annotations

import resource
import signal
from collections import Counter

import numpy as np
import pytest

from soloist.errors import AudioError, SoloistError, UsageError
from soloist.mixing import Example, KeptMixer, Mixer, PoolMixer
from soloist.mixing.example import generator
from soloist.training.data.batches import make_loader


class Counting(Mixer):
    """Mixer of noise by number that counts the draws."""

    def __init__(self, unreadable=()):
        super().__init__(sources=["a", "b"], sample_rate=100, channels=2, seed=3, duration=0.5)
        self.drawn = Counter()
        self.unreadable = unreadable

    def draw(self, index):
        self.drawn[index] += 1
        if index in self.unreadable:
            raise AudioError("damaged")
        references = generator(self, self.seed, index).standard_normal((2, 2, 50)).astype(np.float32)
        return Example(references.sum(axis=0), references, f"noise № {index}")

    def __len__(self):
        return 40


def assert_same(one: Example, other: Example):
    assert one.name == other.name
    for part in ("mixture", "references"):
        assert getattr(one, part).dtype == np.float32
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


@pytest.mark.parametrize("on_disk", [False, True])
def test_an_example_is_drawn_once_and_stays_as_it_was(on_disk, tmp_path):
    mixer = Counting()
    kept = KeptMixer(mixer, tmp_path / "new" / "folder" if on_disk else None)
    for _ in range(3):
        for index in (4, 0, 7):
            assert_same(kept.draw(index), Counting().draw(index))
    assert mixer.drawn == {4: 1, 0: 1, 7: 1}
    assert (len(kept), kept.sources, kept.duration, kept.seed) == (40, ("a", "b"), 0.5, 3)


def test_a_folder_serves_the_next_training_too(tmp_path):
    KeptMixer(Counting(), tmp_path).draw(5)
    later = Counting()
    assert_same(KeptMixer(later, tmp_path).draw(5), Counting().draw(5))
    assert not later.drawn


@pytest.mark.parametrize("content", [b"", b"half", None])
def test_what_is_damaged_is_drawn_again(tmp_path, content):
    kept = KeptMixer(Counting(), tmp_path)
    kept.draw(5)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-7] if content is None else content)
    assert_same(kept.draw(5), Counting().draw(5))
    again = Counting()
    KeptMixer(again, tmp_path).draw(5)
    assert not again.drawn


def test_a_full_disk_is_told_and_leaves_no_half_of_an_example(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        with pytest.raises(
            SoloistError, match=r"cannot keep examples in .*/cache: File too large; make room"
        ):
            KeptMixer(Counting(), tmp_path / "cache").draw(0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


def test_a_pool_gives_each_of_its_examples_once_before_any_again():
    pool = PoolMixer(Counting(), 6)
    rounds = [[pool.draw(index).name for index in range(6 * turn, 6 * turn + 6)] for turn in range(4)]
    assert all(sorted(names) == [f"noise № {index}" for index in range(6)] for names in rounds)
    assert len({tuple(names) for names in rounds}) > 1
    assert len(pool) == 6
    with pytest.raises(UsageError, match="at least 1 example"):
        PoolMixer(Counting(), 0)


@pytest.mark.parametrize("on_disk", [False, True])
def test_workers_change_nothing(on_disk, tmp_path):
    batches = [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]

    def load(workers):
        folder = tmp_path / str(workers) if on_disk else None
        mixer = PoolMixer(KeptMixer(Counting(unreadable=(2,)), folder), 4)
        return list(make_loader(mixer, batches, workers=workers))

    alone = load(0)
    for workers in (1, 2):
        for one, other in zip(alone, load(workers), strict=True):
            assert one.names == other.names
            assert one.mixture.equal(other.mixture)
            assert [skip.reason for skip in one.skipped] == [skip.reason for skip in other.skipped]
    assert any(batch.skipped for batch in alone)
