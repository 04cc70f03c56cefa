import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.estimation import align_sources


@given(order=st.permutations(range(4)), seed=st.integers(0, 100))
def test_any_order_is_found_again(order, seed):
    sources = torch.randn(1, 4, 2, 200, generator=torch.Generator().manual_seed(seed))
    shuffled = sources[:, list(order)]
    assert torch.equal(align_sources(shuffled, sources[..., 50:90], slice(50, 90)), sources)
