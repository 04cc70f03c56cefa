import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.metrics import clustering_accuracy


@given(order=st.permutations(range(3)))
def test_names_of_clusters_do_not_matter(order):
    sources = torch.tensor([[0, 1, 2, 2, 1, 0, 0]])
    clusters = torch.tensor(order)[sources]
    assert clustering_accuracy(sources, clusters, num_sources=3).tolist() == [1.0]


def test_points_in_another_cluster_count_by_their_weight():
    sources = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]])
    clusters = torch.tensor([[1, 1, 0, 1], [0, 1, 0, 1]])
    assert clustering_accuracy(sources, clusters, num_sources=2).tolist() == [0.75, 0.5]
    weights = torch.tensor([[1.0, 1.0, 1.0, 7.0], [0.0, 0.0, 0.0, 0.0]])
    result = clustering_accuracy(sources, clusters, num_sources=2, weights=weights)
    # The heavy point decides the matching of clusters and sources.
    assert result[0].item() == pytest.approx(0.7)
    assert result[1].isnan()


def test_what_is_no_index_is_refused():
    with pytest.raises(UsageError, match=r"0\.\.1"):
        clustering_accuracy(torch.tensor([[0, 2]]), torch.tensor([[0, 1]]), num_sources=2)
    with pytest.raises(UsageError, match="batch, points"):
        clustering_accuracy(torch.tensor([[0, 1]]), torch.tensor([[0]]), num_sources=2)
