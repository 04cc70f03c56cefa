"""Peak memory of tensors, by sums that can be done by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from soloist.resources import peak_tensor_memory

FLOAT = 4
MODES = [torch.enable_grad, torch.no_grad, torch.inference_mode]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_let_go_makes_place(mode):
    x = torch.zeros(1000)

    def call() -> None:
        for _ in range(10):
            x + 1

    with mode():
        assert peak_tensor_memory(call) == FLOAT * (1000 + 1000)


def test_what_is_kept_adds_up():
    x = torch.zeros(1000)
    kept = []
    assert peak_tensor_memory(lambda: kept.extend(x + n for n in range(10))) == FLOAT * 11 * 1000


def test_views_and_results_in_place_are_no_new_memory():
    x = torch.zeros(10, 100)
    assert peak_tensor_memory(lambda: x.t().reshape(100, 10)[:5].add_(1).relu_()) == FLOAT * 1000


@pytest.mark.parametrize("mode", MODES)
def test_intermediates_of_operations_made_of_others_are_seen(mode):
    """A product of a matrix that is expanded: PyTorch copies it first, in one operation without gradients."""
    a, b = torch.zeros(8, 1, 30, 20).expand(8, 4, 30, 20), torch.zeros(4, 20, 10)
    copies, product = 8 * 4 * 30 * 20 + 8 * 4 * 20 * 10, 8 * 4 * 30 * 10
    with mode():
        assert peak_tensor_memory(lambda: a @ b) == FLOAT * (8 * 30 * 20 + 4 * 20 * 10 + copies + product)


def test_backward_holds_what_it_needs():
    """When the weight's gradient is made: weight, input, the gradient of the product, single numbers."""
    weight = nn.Parameter(torch.zeros(50, 20))
    x = torch.zeros(10, 50)
    assert peak_tensor_memory(lambda: (x @ weight).square()) == FLOAT * (50 * 20 + 10 * 50 + 2 * 10 * 20)
    held = 2 * 50 * 20 + 10 * 50 + 10 * 20
    assert held <= peak_tensor_memory(lambda: (x @ weight).square().sum().backward()) / FLOAT <= held + 5


@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=20),
    kept=st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_the_peak_is_that_of_a_simulation(sizes, kept):
    def call() -> None:
        alive = []
        for size, keep in zip(sizes, kept, strict=False):
            made = torch.zeros(size)
            if keep:
                alive.append(made)
            del made

    held = peak = 0
    for size, keep in zip(sizes, kept, strict=False):
        peak = max(peak, held + size)
        held += size if keep else 0
    assert peak_tensor_memory(call) == FLOAT * peak


def test_a_failure_leaves_nothing_behind():
    with pytest.raises(RuntimeError, match="size"):
        peak_tensor_memory(lambda: torch.zeros(3) + torch.zeros(4))
    assert peak_tensor_memory(lambda: torch.zeros(25)) == FLOAT * 25
