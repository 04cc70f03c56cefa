"""Networks that part speech from noise frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from families import make_family
from soloist.errors import UsageError
from soloist.networks import DTLN, GTCRN, ULUNAS, ConvRecurrentNetwork, Streaming, UnasBlock
from soloist.networks.layers.erb_bands import erb_filters
from soloist.networks.ulunas import PUBLISHED_BLOCKS
from soloist.transforms import Framing
from soloist.zoo import read_state

NETWORKS = ["gtcrn", "ulunas", "dtln", "conv-recurrent"]


def features(separator, frames):
    """Input of the network for noise of so many frames."""
    mixture = 0.1 * torch.randn(2, 1, 32 * frames)
    return (
        separator.filterbank(mixture)[:, 0]
        if hasattr(separator, "filterbank")
        else (separator.represent(separator.transform(mixture)))
    )


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("pieces", [[1] * 7, [3, 1, 5], [20, 1]])
def test_a_stream_in_pieces_gives_what_the_whole_gives(name, pieces):
    separator = make_family(name)
    network, whole = separator.network, features(separator, 30)[..., : sum(pieces)]
    assert isinstance(network, Streaming)
    outputs, state = [], ()
    for piece in whole.split(pieces, dim=-1):
        output, state = network.step(piece, state)
        outputs.append(output)
    expected = network(whole)
    error = (torch.cat(outputs, dim=-1) - expected).abs().max()
    assert error <= 1e-5 * expected.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_the_state_does_not_grow(name):
    separator = make_family(name)
    frame = features(separator, 30)[..., :1]
    _, first = separator.network.step(frame)
    _, second = separator.network.step(frame, first)
    assert [part.shape for part in first] == [part.shape for part in second]
    # Nothing holds on to the frames before.
    assert all(part.untyped_storage().nbytes() <= 32 * part.nbytes for part in second)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_frame_sees_a_later_one(name):
    separator = make_family(name)
    seen = features(separator, 20).requires_grad_()
    separator.network(seen)[..., 9].square().sum().backward()
    assert seen.grad[..., 9].any()
    assert seen.grad[..., :9].any()
    assert not seen.grad[..., 10:].any()
    assert separator.network.lookahead == 0


def test_bands_are_triangles_that_sum_to_one():
    filters = erb_filters(257, 65, 64, 16000)
    assert filters.shape == (64, 192)
    np.testing.assert_allclose(filters.sum(axis=0), 1)
    np.testing.assert_allclose(filters[[0, -1], [0, -1]], 1)
    widths = (filters > 0).sum(axis=1)
    assert widths[1] < widths[-2]


def test_bands_are_those_of_the_published_file(shared):
    state = read_state(shared / "weights" / "gtcrn_dns3.tar")
    np.testing.assert_allclose(erb_filters(257, 65, 64, 16000), state["erb.erb_fc.weight"], atol=1e-6)


@pytest.mark.parametrize(("make", "parameters"), [(GTCRN, 23_669), (ULUNAS, 146_752), (DTLN, 988_801)])
def test_the_published_sizes_are_the_defaults(make, parameters):
    assert sum(parameter.numel() for parameter in make().parameters()) == parameters


def test_frames_hold_each_sample_as_often():
    framing = Framing(64, 16)
    audio = torch.randn(2, 1, 100)
    frames = framing(audio)
    assert frames.shape == (2, 1, 64, 10)
    torch.testing.assert_close(framing.inverse(frames, 100), 4 * audio)
    torch.testing.assert_close(frames[:, 0, 48:, 2], audio[:, 0, 32:48])


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="one more than a multiple of 4"):
        GTCRN(num_bins=33, num_kept=10, num_bands=8, sample_rate=8000)
    with pytest.raises(UsageError, match="bands are too many for"):
        GTCRN(num_bins=33, num_kept=17, num_bands=16, sample_rate=8000)
    with pytest.raises(UsageError, match="divided by the strides"):
        ULUNAS((*PUBLISHED_BLOCKS, UnasBlock("separable", 16, (1, 3), 5)))
    with pytest.raises(UsageError, match="first block must be full"):
        ULUNAS(PUBLISHED_BLOCKS[1:])
    with pytest.raises(UsageError, match="must be divisible by the strides"):
        ConvRecurrentNetwork(num_bins=256)
    with pytest.raises(UsageError, match="must be as many"):
        ConvRecurrentNetwork(strides=(4,))
    with pytest.raises(UsageError, match="none of prelu, relu"):
        ConvRecurrentNetwork(activation="tanh")
    with pytest.raises(UsageError, match="must be even"):
        DTLN(frame_length=33)
    with pytest.raises(UsageError, match="must be a divisor"):
        Framing(64, 24)
