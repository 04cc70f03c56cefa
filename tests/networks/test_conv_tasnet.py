"""Conv-TasNet: convolutions, receptive field, published sizes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from soloist.errors import UsageError
from soloist.networks import ConvTasNet, CumulativeNorm, GlobalNorm
from soloist.networks.conv_tasnet import DilatedConv
from soloist.networks.layers.frames import channels_last
from soloist.profiling import count_operations
from soloist.separators import FilterbankSeparator
from soloist.transforms import LearnedFilterbank

SIZES = {"num_filters": 6, "channels": 4, "hidden_channels": 8, "skip_channels": 5}

# N, L, B, H, Sc, X, R of table II, the receptive field in s, and the millions of parameters.
PUBLISHED = [
    ((128, 40, 128, 256, 128, 7, 2), 1.28, 1.5),
    ((512, 40, 128, 256, 128, 7, 2), 1.28, 1.7),
    ((512, 40, 128, 512, 128, 7, 2), 1.28, 3.1),
    ((512, 40, 128, 512, 512, 7, 2), 1.28, 6.2),
    ((512, 40, 256, 256, 256, 7, 2), 1.28, 3.2),
    ((512, 40, 256, 512, 256, 7, 2), 1.28, 6.0),
    ((512, 40, 256, 512, 512, 7, 2), 1.28, 8.1),
    ((512, 40, 128, 512, 128, 6, 4), 1.27, 5.1),
    ((512, 40, 128, 512, 128, 4, 6), 0.46, 5.1),
    ((512, 40, 128, 512, 128, 8, 3), 3.83, 5.1),
    ((512, 32, 128, 512, 128, 8, 3), 3.06, 5.1),
    ((512, 16, 128, 512, 128, 8, 3), 1.53, 5.1),
]


def _published(sizes: tuple[int, ...], **options) -> FilterbankSeparator:
    num_filters, kernel_size, channels, hidden, skip, num_blocks, num_repeats = sizes
    with torch.device("meta"):
        network = ConvTasNet(
            num_filters, channels, hidden, skip, num_blocks=num_blocks, num_repeats=num_repeats, **options
        )
        return FilterbankSeparator(LearnedFilterbank(num_filters, kernel_size, synthesis="shared"), network)


@pytest.mark.parametrize(("sizes", "seconds", "millions"), PUBLISHED)
@pytest.mark.parametrize("causal", [False, True])
def test_the_published_sizes(sizes, seconds, millions, causal):
    separator = _published(sizes, causal=causal)
    count = sum(parameter.numel() for parameter in separator.parameters())
    assert round(count / 1e6, 1) == millions
    # The paper counts the samples of all frames in the receptive field of the convolutions.
    samples = (separator.network.convolved_frames + 1) * separator.filterbank.hop_length
    assert samples / 8000 == pytest.approx(seconds, abs=0.0051)


def test_the_published_operations():
    """Operations of one second are those of the formula: two for each weight of each frame."""
    separator = _published((512, 16, 128, 512, 128, 8, 3)).eval()
    frames = 8000 // 8 + 1
    blocks = 24 * (128 * 512 + 3 * 512 + 512 * (128 + 128))
    network = 512 * 128 + blocks + 128 * 2 * 512
    features = torch.zeros(1, 512, frames, device="meta")
    with torch.no_grad():
        assert count_operations(lambda: separator.network(features)) == 2 * frames * network


@given(
    frames=st.integers(1, 40),
    taps=st.integers(1, 5),
    dilation=st.sampled_from([1, 2, 4, 16]),
    causal=st.booleans(),
)
def test_a_folded_convolution_is_the_plain_one(frames, taps, dilation, causal):
    taps = taps if causal else 2 * taps - 1
    conv = DilatedConv(3, taps, dilation, causal).double()
    x = torch.randn(2, 3, frames, dtype=torch.float64, requires_grad=True)
    expected = nn.Conv1d.forward(conv, x)[..., :frames]
    assert torch.allclose(conv(x), expected)
    weights = torch.randn_like(expected)
    ours, plain = (torch.autograd.grad((y * weights).sum(), (x, conv.weight)) for y in (conv(x), expected))
    assert all(torch.allclose(one, other) for one, other in zip(ours, plain, strict=True))
    with torch.no_grad():
        assert torch.allclose(conv(channels_last(x)), expected)


def _without_norms(network: ConvTasNet) -> ConvTasNet:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, GlobalNorm | CumulativeNorm):
                setattr(module, name, nn.Identity())
    return network


@given(
    kernel_size=st.sampled_from([1, 3, 5]),
    num_blocks=st.integers(1, 3),
    num_repeats=st.integers(1, 2),
    causal=st.booleans(),
)
def test_the_convolved_frames_are_what_gradients_reach(kernel_size, num_blocks, num_repeats, causal):
    torch.manual_seed(0)
    network = ConvTasNet(
        **SIZES, kernel_size=kernel_size, num_blocks=num_blocks, num_repeats=num_repeats, causal=causal
    )
    network = _without_norms(network.double())
    features = torch.randn(1, 6, 160, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(features)[..., 80].sum(), features)
    seen = gradient[0].abs().sum(dim=0).nonzero()[:, 0]
    first, last = int(seen.min()), int(seen.max())
    assert last - first + 1 == network.convolved_frames
    assert last == 80 if causal else last - 80 == 80 - first


def test_no_frame_of_a_causal_network_depends_on_a_later_one():
    network = ConvTasNet(**SIZES, num_blocks=3, causal=True).double()
    features = torch.randn(1, 6, 64, dtype=torch.float64)
    changed = features.clone()
    changed[..., 37:] = torch.randn(1, 6, 27, dtype=torch.float64)
    with torch.no_grad():
        before, after = network(features), network(changed)
    assert torch.allclose(before[..., :37], after[..., :37], atol=1e-12)
    assert not torch.allclose(before[..., 37], after[..., 37])


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "softmax"])
def test_masks_are_of_their_kind(activation):
    network = ConvTasNet(**SIZES, num_blocks=2, num_outputs=3, activation=activation)
    with torch.no_grad():
        masks = network(10 * torch.randn(2, 6, 50))
    assert masks.shape == (2, 3, 6, 50)
    assert (masks >= 0).all()
    assert (masks <= 1).all() == (activation != "relu")
    adds_up = torch.allclose(masks.sum(dim=1), torch.ones(2, 6, 50))
    assert adds_up == (activation == "softmax")


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="kernel_size 4 must be odd"):
        ConvTasNet(kernel_size=4)
    ConvTasNet(**SIZES, kernel_size=4, causal=True)
    with pytest.raises(UsageError, match="activation 'linear' is none of sigmoid, relu, softmax"):
        ConvTasNet(activation="linear")
