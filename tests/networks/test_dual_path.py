"""Dual-path RNN: chunks, look-ahead, published size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import UsageError
from soloist.networks import DualPathRNN
from soloist.networks.dual_path import DualPathBlock, Recurrence, join_chunks, split_chunks

SIZES = {"num_filters": 6, "channels": 4, "hidden_size": 5, "num_blocks": 2, "chunk_size": 8}


@given(frames=st.integers(1, 60), half=st.integers(1, 12))
def test_chunks_are_joined_to_what_was_cut(frames, half):
    x = torch.randn(2, frames, 3)
    chunks = split_chunks(x, 2 * half)
    assert chunks.shape == (2, -(-frames // half) + 1, 2 * half, 3)
    assert torch.equal(join_chunks(chunks, frames), x)
    # Each frame is in two chunks.
    assert torch.allclose(chunks.sum(dim=(1, 2)), 2 * x.sum(dim=1), atol=1e-4)


def test_the_second_half_of_a_chunk_is_the_first_of_the_next():
    chunks = split_chunks(torch.randn(1, 37, 3), 10)
    assert torch.equal(chunks[:, :-1, 5:], chunks[:, 1:, :5])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@given(frames=st.integers(1, 40), batch=st.integers(1, 2))
def test_any_number_of_frames_comes_back(causal, cell, frames, batch):
    network = DualPathRNN(**SIZES, num_outputs=3, causal=causal, cell=cell)
    with torch.no_grad():
        masks = network(torch.randn(batch, 6, frames))
    assert masks.shape == (batch, 3, 6, frames)
    assert 0 <= float(masks.min()) <= float(masks.max()) <= 1


def test_a_causal_network_looks_ahead_less_than_a_chunk():
    network = DualPathRNN(**SIZES, causal=True).double()
    features = torch.randn(1, 6, 64, dtype=torch.float64, requires_grad=True)
    # Frame 24 is the first of the second half of one chunk, and of the first half of the next.
    (gradient,) = torch.autograd.grad(network(features)[..., 24].sum(), features)
    seen = gradient[0].abs().sum(dim=0).nonzero()[:, 0]
    assert int(seen.max()) == 24 + network.chunk_size - 1
    assert int(seen.min()) == 0


def test_otherwise_a_frame_sees_all():
    features = torch.randn(1, 6, 64, dtype=torch.float64, requires_grad=True)
    masks = DualPathRNN(**SIZES).double()(features)
    (gradient,) = torch.autograd.grad(masks[..., 24].sum(), features)
    assert gradient.abs().sum(dim=(0, 1)).all()


def test_items_of_a_batch_do_not_know_each_other():
    network, features = DualPathRNN(**SIZES), torch.randn(3, 6, 30)
    with torch.no_grad():
        assert torch.allclose(network(features)[1:2], network(features[1:2]), atol=1e-6)


def test_a_block_recurs_along_one_axis_and_then_the_other():
    """Without the recurrence from chunk to chunk, chunks are independent, and vice versa."""
    for silent, axis in (("inter", 1), ("intra", 2)):
        block = DualPathBlock(4, Recurrence(4, 3), Recurrence(4, 3))
        # Normalisations see all frames: give them no gain.
        block.intra_norm, block.inter_norm = torch.nn.Identity(), torch.nn.Identity()
        for parameter in getattr(block, silent).parameters():
            torch.nn.init.zeros_(parameter)
        chunks = torch.randn(1, 5, 6, 4, requires_grad=True)
        (gradient,) = torch.autograd.grad(block(chunks).select(axis, 2).sum(), chunks)
        reached = gradient.abs().transpose(0, axis).flatten(1).sum(dim=1).nonzero()[:, 0]
        assert reached.tolist() == [2]


def test_the_published_size():
    """2.6 million parameters with 64 filters of two samples (Luo et al. 2020, table 1)."""
    with torch.device("meta"):
        network = DualPathRNN()
    count = sum(parameter.numel() for parameter in network.parameters()) + 2 * 64 * 2
    assert round(count / 1e6, 1) == 2.6


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="chunk_size 7 must be even"):
        DualPathRNN(chunk_size=7)
    with pytest.raises(UsageError, match="activation 'tanh'"):
        DualPathRNN(activation="tanh")
