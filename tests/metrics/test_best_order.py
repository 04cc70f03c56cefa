import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.metrics.permutation import best_order


@given(order=st.integers(1, 6).flatmap(lambda sources: st.permutations(range(sources))))
def test_the_pairs_of_greatest_score_are_found(order):
    score = torch.eye(len(order))[list(order)]
    assert best_order(score[None]).tolist() == [list(order)]


def test_the_total_counts_and_not_the_best_pair():
    score = torch.tensor([[[10.0, 9.0], [9.0, 0.0]]])
    assert best_order(score).tolist() == [[1, 0]]


def test_items_of_a_batch_have_orders_of_their_own():
    score = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    assert best_order(score).tolist() == [[0, 1], [1, 0]]


def test_silence_changes_no_order():
    assert best_order(torch.zeros(1, 3, 3)).tolist() == [[0, 1, 2]]


def test_too_many_sources_are_refused_at_once():
    with pytest.raises(UsageError, match="at most 8 sources, not 9"):
        best_order(torch.zeros(1, 9, 9))
