"""Ten minutes of talkers through a SepFormer: flat memory, and each talker stays the same estimate."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from soloist.inference import separate_stream
from soloist.networks import SepFormer
from soloist.separators import FilterbankSeparator
from soloist.transforms import FreeFilterbank

RATE = 8000
SIZES = (16, 8, 1, 10, 2, 1, 1, 2, 12)


class Fickle(SepFormer):
    """SepFormer that gives the talkers of every other chunk in the other order."""

    calls = 0

    def forward(self, features: Tensor) -> Tensor:
        """Masks `(batch, 2, filters, frames)`."""
        self.calls += 1
        masks = super().forward(features)
        return masks.flip(1) if self.calls % 2 else masks


def separator(network: type[SepFormer]) -> FilterbankSeparator:
    """A small network whose two masks differ, with frames of 10 ms."""
    torch.manual_seed(0)
    made = FilterbankSeparator(FreeFilterbank(16, 160, 80), network(*SIZES), sample_rate=RATE, pad_multiple=1)
    return made.eval()


def speech(seconds: int) -> Iterator[np.ndarray]:
    """Noise whose level changes with the syllables, second by second."""
    rng = np.random.default_rng(0)
    for _ in range(seconds):
        syllables = np.repeat(rng.uniform(0, 0.3, 5), RATE // 5)
        yield (syllables * rng.standard_normal(RATE)).astype(np.float32)[None]


def talkers(network: type[SepFormer], seconds: int) -> np.ndarray:
    pieces = [stems for _, stems in separate_stream(separator(network), speech(seconds), RATE)]
    return np.concatenate(pieces, axis=-1)[:, 0]


def test_talkers_of_a_long_recording_keep_their_order():
    expected, stems = talkers(SepFormer, 40), talkers(Fickle, 40)
    apart = np.abs(expected[0] - expected[1]).max()
    # The first chunk decides the order.
    assert np.abs(stems[::-1] - expected).max() < 1e-3 * apart


@pytest.mark.slow
def test_ten_minutes_take_no_more_memory_than_one():
    made = separator(SepFormer)

    def peak(seconds: int) -> int:
        tracemalloc.start()
        try:
            heard = sum(stems.shape[-1] for _, stems in separate_stream(made, speech(seconds), RATE))
            assert heard == seconds * RATE
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(20)
    assert peak(600) < 1.2 * peak(60)
