"""RPCA recovers what is of low rank and what is sparse."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.separators import RPCA
from soloist.separators.training_free.rpca import decompose, shrink_singular_values


@pytest.mark.parametrize("shape", [(60, 90), (90, 60)])
def test_a_matrix_of_low_rank_plus_a_sparse_one_comes_apart(shape):
    generator = torch.Generator().manual_seed(0)
    low_rank = torch.rand(shape[0], 3, generator=generator) @ torch.rand(3, shape[1], generator=generator)
    sparse = 5.0 * (torch.rand(shape, generator=generator) < 0.03)
    found_low_rank, found_sparse = decompose((low_rank + sparse).double())
    torch.testing.assert_close(found_low_rank, low_rank.double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(found_sparse, sparse.double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("shape", [(20, 50), (50, 20)])
@pytest.mark.parametrize("amount", [1e-6, 0.1, 2.0, 1e3])
def test_singular_values_shrink_as_by_a_decomposition(shape, amount):
    matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    expected = left @ torch.diag((values - amount).clamp(min=0)) @ right
    found = shrink_singular_values(matrix, torch.tensor(amount, dtype=torch.float64))
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)


def test_the_two_parts_add_up_to_the_tolerance():
    matrix = torch.rand(40, 70, dtype=torch.float64)
    for tolerance in (1e-3, 1e-7):
        low_rank, sparse = decompose(matrix, tolerance=tolerance)
        assert (matrix - low_rank - sparse).norm() <= tolerance * matrix.norm()


def test_iterations_are_bounded():
    matrix = torch.rand(40, 70, dtype=torch.float64)
    rough, fine = (sum(decompose(matrix, max_iterations=count)) for count in (1, 100))
    assert (rough - matrix).norm() > 1e3 * (fine - matrix).norm()


def test_a_hard_mask_gives_each_bin_to_the_larger_matrix():
    magnitudes = torch.rand(1, 1, 33, 50)
    separator = RPCA(sample_rate=8000, channels=1, n_fft=64, high_pass=0.0)
    low_rank, sparse = decompose(magnitudes[0, 0].double())
    vocals, accompaniment = separator.masks(magnitudes)[0, :, 0]
    assert torch.equal(vocals == 1, sparse.abs() > low_rank.abs())
    assert torch.equal(accompaniment, 1 - vocals)


@pytest.mark.parametrize("options", [{"max_iterations": 0}, {"tolerance": -1e-7}])
def test_nonsense_is_refused(options):
    with pytest.raises(UsageError):
        RPCA(**options)
