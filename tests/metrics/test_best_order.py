from itertools import permutations

import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.metrics import best_order


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


@given(num_sources=st.integers(5, 7), seed=st.integers(0, 1000), rounded=st.booleans())
def test_many_sources_are_assigned_as_by_trying_all_orders(num_sources, seed, rounded):
    score = 3 * torch.randn(2, num_sources, num_sources, generator=torch.Generator().manual_seed(seed))
    score = score.round() if rounded else score
    orders = torch.tensor(list(permutations(range(num_sources))))
    best = score[:, torch.arange(num_sources), orders].sum(dim=-1).amax(dim=-1)
    found = best_order(score)
    assert (found.sort(dim=1).values == torch.arange(num_sources)).all()
    torch.testing.assert_close(torch.take_along_dim(score, found[..., None], dim=2).sum(dim=(1, 2)), best)


def test_many_sources_keep_their_places_where_all_fit_alike():
    assert best_order(torch.zeros(2, 20, 20)).tolist() == [list(range(20))] * 2


def test_what_is_not_a_number_fits_nothing():
    score = torch.eye(6)[None].roll(1, dims=1)
    score[0, 0, 0] = torch.nan
    score[0, 1, 1] = -torch.inf
    assert best_order(score).tolist() == [[5, 0, 1, 2, 3, 4]]
