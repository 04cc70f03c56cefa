import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from soloist.errors import UsageError
from soloist.networks import TDC, TDCRNN, TDF, TFC, TFCTDF, BlockDesign, UNet
from soloist.separators import Optimizable

DESIGNS = {
    "tfc": TFC(layers=2, kernel_frequency=5),
    "tfc, one layer, leaky": TFC(layers=1, activation="leaky_relu"),
    "tdc": TDC(layers=3),
    "tdc, four layers, sigmoid": TDC(layers=4, activation="sigmoid"),
    "tdf": TDF(bottleneck_factor=4, minimum_units=4),
    "tdf, one layer": TDF(bottleneck_factor=None, bias=True),
    "tfc-tdf": TFCTDF(layers=3, bottleneck_factor=2, bias=True),
    "tdc-rnn": TDCRNN(layers=2, rnn_minimum_units=3, rnn_layers=2, rnn_bias=True),
}


def make(block: BlockDesign, **options: object) -> UNet:
    """Small network in evaluation mode, with norm statistics as if trained."""
    torch.manual_seed(1)
    options = {"num_bins": 33, "num_blocks": 5, "internal_channels": 6, "input_channels": 2, **options}
    network = UNet(block, **options).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            if module.affine:
                nn.init.uniform_(module.weight, -1.5, 1.5)
                nn.init.normal_(module.bias)
    return network.requires_grad_(False)


def optimized(network: UNet) -> UNet:
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        if isinstance(module, Optimizable):
            module.optimize()
    return network


@given(
    st.sampled_from(sorted(DESIGNS)),
    st.integers(2, 40),
    st.integers(1, 21),
    st.sampled_from([None, [], [0], [1]]),
    st.sampled_from([None, [], [1]]),
)
def test_any_number_of_bins_and_frames(design, bins, frames, time_levels, frequency_levels):
    network = make(
        DESIGNS[design],
        num_bins=bins,
        time_levels=time_levels,
        frequency_levels=frequency_levels,
        output_channels=3,
    )
    assert network(torch.randn(2, 2, bins, frames)).shape == (2, 3, bins, frames)


@pytest.mark.parametrize("design", sorted(DESIGNS))
@pytest.mark.parametrize("frames", [9, 70])
def test_optimizing_does_not_change_the_output(design, frames):
    network = make(DESIGNS[design], time_levels=[] if design.startswith("td") else None)
    x = torch.randn(2, 2, 33, frames)
    expected = network(x)
    generator = torch.get_rng_state()
    fast = optimized(network)
    assert torch.equal(torch.get_rng_state(), generator)
    torch.testing.assert_close(fast(x), expected, rtol=0, atol=1e-5 * expected.abs().max().item())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.entry.modules())


def test_optimizing_twice_is_optimizing_once():
    network = optimized(make(TFCTDF(layers=3)))
    x = torch.randn(1, 2, 33, 8)
    torch.testing.assert_close(optimized(network)(x), network(x))


@pytest.mark.parametrize(
    ("design", "time_levels"),
    [("tfc", None), ("tfc", [1]), ("tfc", []), ("tdc", None), ("tdc", [0]), ("tdc", []), ("tdf", None)],
)
def test_the_receptive_field_is_as_stated(design, time_levels):
    network = make(DESIGNS[design], time_levels=time_levels)
    field, middle = network.receptive_field, 48
    reach = torch.zeros(97, dtype=torch.bool)
    x = torch.randn(1, 2, 33, 97)
    # At every position on the grid of down-sampling.
    for offset in range(network.stride):
        changed = x.clone()
        changed[..., middle + offset] += 10
        moved = (network(changed) != network(x)).any(dim=(0, 1)).any(dim=0)
        reach |= torch.roll(moved, -offset)
    distances = (reach.nonzero() - middle).abs()
    assert distances.max() == field


def test_a_recurrent_block_has_no_bound():
    assert make(DESIGNS["tdc-rnn"]).receptive_field is None


@pytest.mark.parametrize("design", ["tfc", "tfc-tdf", "tdc"])
def test_shifting_by_the_stride_shifts_the_output(design):
    network = make(DESIGNS[design])
    x = torch.randn(1, 2, 33, 72)
    margin = network.receptive_field
    whole, shifted = network(x), network(x[..., network.stride :])
    inside = slice(margin, 64 - margin)
    torch.testing.assert_close(shifted[..., inside], whole[..., network.stride :][..., inside])


def test_levels_scale_only_the_axes_that_list_them():
    network = make(TFC(layers=1), num_blocks=7, time_levels=[0, 2], frequency_levels=[1])
    assert [down.conv.kernel_size for down in network.downs] == [(1, 2), (2, 1), (1, 2)]
    assert [up.conv.kernel_size for up in network.ups] == [(1, 2), (2, 1), (1, 2)]
    assert network.stride == 4


@pytest.mark.parametrize(
    ("rule", "last", "expected"),
    [
        ("xavier", "relu", (2 / (6 * 2 + 2 * 2)) ** 0.5),
        ("kaiming", "identity", (2 / (6 * 2)) ** 0.5),
        ("layer", "relu", (2 / (6 * 2)) ** 0.5),
        ("layer", "sigmoid", (2 / (6 * 2 + 2 * 2)) ** 0.5),
    ],
)
def test_the_rule_decides_the_spread_of_the_weights(rule, last, expected):
    torch.manual_seed(0)
    weights = [
        UNet(
            TDC(1),
            input_channels=2,
            internal_channels=6,
            num_blocks=1,
            num_bins=9,
            last_activation=last,
            initialization=rule,
        ).exit.weight
        for _ in range(100)
    ]
    assert torch.stack(weights).std().item() == pytest.approx(expected, rel=0.05)


def test_a_network_learns_with_finite_gradients():
    network = UNet(TFCTDF(2), input_channels=2, internal_channels=4, num_blocks=3, num_bins=17)
    network(torch.randn(2, 2, 17, 6)).square().mean().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_blocks": 4}, "odd number of blocks"),
        ({"time_levels": [2]}, "time_levels"),
        ({"frequency_levels": [-1]}, "frequency_levels"),
        ({"last_activation": "relu6"}, "relu6"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(UsageError, match=message):
        make(TFC(1), **options)


def test_another_number_of_bins_is_refused():
    with pytest.raises(UsageError, match="33 bins and was given 34"):
        make(TDC(1))(torch.randn(1, 2, 34, 4))
