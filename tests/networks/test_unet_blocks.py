import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from soloist.errors import UsageError
from soloist.networks import TDC, TDCRNN, TDF, TFC, TFCTDF, UNet
from soloist.networks.layers.convolutions import ConvNorm, batch_norm_affine
from soloist.networks.unet.intermediate_blocks import band_weight


@pytest.mark.parametrize("sizes", [(0, 3, 3), (1, 2, 3), (1, 3, 4)])
def test_a_dense_block_needs_layers_and_odd_kernels(sizes):
    with pytest.raises(UsageError, match="odd kernels"):
        TFC(*sizes)


@given(st.integers(1, 60), st.integers(1, 60))
def test_band_weights_link_every_bin_in_order(out_bins, in_bins):
    weight = band_weight(out_bins, in_bins)
    linked = weight > 0
    assert linked.any(0).all()
    assert linked.any(1).all()
    # Each bin of the longer side belongs to one of the shorter side, in ascending order.
    owner = linked.int().argmax(0 if out_bins <= in_bins else 1)
    assert linked.sum() == max(out_bins, in_bins)
    assert (owner.diff() >= 0).all()


def test_band_weights_of_equal_numbers_are_the_identity():
    torch.testing.assert_close(band_weight(7, 7), torch.eye(7))


def test_kept_bands_survive_the_network_s_initialization():
    network = UNet(TFCTDF(1, keep_bands=True), num_blocks=1, num_bins=65)
    torch.testing.assert_close(network.middle.transform[0].linear.weight, band_weight(16, 64))


def test_biases_and_gains_of_frequency_layers_come_together():
    without, with_bias = TDF(bias=False).build(3, 3, 64), TDF(bias=True).build(3, 3, 64)
    assert [name for name, _ in without.named_parameters()] == ["0.linear.weight", "1.linear.weight"]
    assert with_bias[0].linear.bias is not None
    assert with_bias[0].norm.affine
    # Layers behind a recurrent network keep their gains.
    assert TDCRNN(1).build(3, 3, 64).transform[0].norm.affine


def test_units_of_the_bottleneck_follow_the_bins():
    layers = TDF(bottleneck_factor=8, minimum_units=10)
    assert [layers.build(1, 1, bins)[0].linear.out_features for bins in (160, 80, 40)] == [20, 10, 10]


def test_a_frame_does_not_see_its_neighbours_in_time_distributed_blocks():
    for design in (TDC(2), TDF(4, 4)):
        block = design.build(2, 3, 16).eval()
        x = torch.randn(1, 2, 16, 5)
        torch.testing.assert_close(block(x)[..., 2:3], block(x[..., 2:3]), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("transposed", [False, True])
def test_folding_a_norm_keeps_the_output(transposed):
    torch.manual_seed(0)
    make_conv = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = ConvNorm(make_conv(3, 4, 2, 2, bias=False), "tanh")
    layer.train()(torch.randn(8, 3, 6, 6) * 3 + 1)
    x = torch.randn(2, 3, 6, 6)
    expected = layer.eval()(x)
    layer.optimize()
    assert isinstance(layer.norm, nn.Identity)
    torch.testing.assert_close(layer(x), expected, atol=1e-6, rtol=1e-5)


def test_the_affine_of_a_norm_is_what_it_computes():
    norm = nn.BatchNorm2d(3, affine=False)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 2)
    gain, shift = batch_norm_affine(norm)
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(norm.eval()(x), x * gain[:, None, None] + shift[:, None, None])
