"""Sliding and gathered order statistics equal their definitions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.separators.training_free.sliding import (
    median_of_frames,
    sliding_maximum,
    sliding_mean,
    sliding_median,
)


def windows(values: torch.Tensor, size: int) -> torch.Tensor:
    """Each window of the last axis, ends mirrored as numpy's "symmetric" padding does."""
    length = values.shape[-1]
    positions = range(-(size // 2), length + size - 1 - size // 2)
    mirrored = [p % (2 * length) for p in positions]
    mirrored = [p if p < length else 2 * length - 1 - p for p in mirrored]
    return values[..., mirrored].unfold(-1, size, 1)


@given(length=st.integers(1, 40), size=st.integers(1, 45), seed=st.integers(0, 99))
def test_medians_are_exact_whatever_the_size(length, size, seed):
    values = torch.rand(2, 3, length, generator=torch.Generator().manual_seed(seed))
    expected = windows(values, size).sort(dim=-1).values[..., size // 2]
    assert torch.equal(sliding_median(values, size, dim=-1), expected)
    assert torch.equal(sliding_median(values.movedim(-1, 0), size, dim=0), expected.movedim(-1, 0))


@given(length=st.integers(1, 40), size=st.integers(1, 45))
def test_maxima_and_means_are_those_of_the_window(length, size):
    values = torch.rand(3, length, dtype=torch.float64)
    assert torch.equal(sliding_maximum(values, size, dim=-1), windows(values, size).amax(dim=-1))
    torch.testing.assert_close(sliding_mean(values, size, dim=-1), windows(values, size).mean(dim=-1))


def test_a_large_tensor_is_filtered_in_blocks_without_a_seam():
    values = torch.rand(500, 300)
    expected = windows(values, 31).median(dim=-1).values
    assert torch.equal(sliding_median(values, 31, dim=1), expected)


@pytest.mark.parametrize("bins", [5, 20_000])
def test_medians_of_gathered_frames_average_the_middle_of_even_counts(bins):
    frames = torch.rand(9, bins)
    indices = torch.stack([torch.randperm(9)[:6] for _ in range(11)])
    counts = torch.tensor([1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2])
    medians = median_of_frames(frames, indices, counts)
    for index, count, median in zip(indices, counts, medians, strict=True):
        expected = frames[index[:count]].double().quantile(0.5, dim=0)
        torch.testing.assert_close(median, expected.float())
