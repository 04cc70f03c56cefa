import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.estimation.permutation import align_sources, best_order


@given(order=st.permutations(range(4)), seed=st.integers(0, 100))
def test_any_order_is_found_again(order, seed):
    sources = torch.randn(1, 4, 2, 200, generator=torch.Generator().manual_seed(seed))
    shuffled = sources[:, list(order)]
    assert torch.equal(align_sources(shuffled, sources[..., 50:90], slice(50, 90)), sources)


def test_items_of_a_batch_have_orders_of_their_own():
    score = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    assert best_order(score).tolist() == [[0, 1], [1, 0]]


def test_silence_changes_no_order():
    assert best_order(torch.zeros(1, 3, 3)).tolist() == [[0, 1, 2]]
