"""TFC-TDF v3, ConvTDFNet and SCNet: any number of frames, fields as stated, the same after optimisation."""

from __future__ import annotations

import copy

import pytest
import torch

from families import make_family
from soloist.errors import UsageError
from soloist.networks import ConvTDFNet, SCNet, TFCTDFv3
from soloist.networks.scnet.dual_paths import from_modulations, to_modulations

NAMES = ["tfc-tdf-v3", "tfc-tdf-v3-batch", "conv-tdf-net", "conv-tdf-net-group", "scnet", "scnet-masked"]


@pytest.mark.parametrize("name", [*NAMES, "scnet-attentive"])
@pytest.mark.parametrize("frames", [1, 9, 24])
def test_optimisation_keeps_the_output_for_any_number_of_frames(name, frames):
    network = make_family(name).network
    x = torch.randn(2, 2, 33, frames)
    with torch.no_grad():
        expected = network(x)
        assert expected.shape[-2:] == (33, frames)
        optimized = copy.deepcopy(network)
        for module in list(optimized.modules()):
            if hasattr(module, "optimize"):
                module.optimize()
        for items in (x, x[:1]):
            torch.testing.assert_close(optimized(items), expected[: len(items)], rtol=1e-4, atol=1e-5)


def make_convolutional(name):
    if name == "conv-tdf-net":
        return ConvTDFNet(2, num_bins=33, num_input_bins=32, num_blocks=5, growth=8, bottleneck_factor=4)
    sizes = {"num_bins": 33, "num_input_bins": 32, "internal_channels": 8, "growth": 4, "num_scales": 2}
    return TFCTDFv3(2, 4, norm="batch", bottleneck_factor=2, **sizes)


@pytest.mark.parametrize("name", ["tfc-tdf-v3", "conv-tdf-net"])
def test_the_receptive_field_is_as_stated(name):
    network = make_convolutional(name).eval()
    field, middle = network.receptive_field, 96
    network.double()
    x = torch.randn(1, 2, 33, 2 * middle, dtype=torch.float64)
    changed = x.clone()
    changed[..., middle] += 1
    with torch.no_grad():
        seen = (network(changed) - network(x)).abs().amax(dim=(0, 1, 2)) > 1e-12
    places = seen.nonzero().flatten() - middle
    assert places.abs().max() <= field
    assert places.abs().max() >= field // 2


@pytest.mark.parametrize("frames", [1, 2, 7, 12])
def test_modulations_are_orthonormal_and_come_back(frames):
    x = torch.randn(2, 3, 4, frames)
    modulations = to_modulations(x)
    assert modulations.shape == (2, 6, 4, frames // 2 + 1)
    torch.testing.assert_close(from_modulations(modulations, frames), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: TFCTDFv3(num_bins=100, num_input_bins=90), "num_input_bins 90"),
        (lambda: TFCTDFv3(num_bins=257, num_input_bins=256, num_scales=5), "bottleneck_factor"),
        (lambda: TFCTDFv3(norm="layer"), "norm 'layer'"),
        (lambda: ConvTDFNet(num_blocks=4), "must be odd"),
        (lambda: ConvTDFNet(num_bins=100, num_input_bins=90), "divisible by 32"),
        (lambda: SCNet(num_dual_paths=3), "must be even"),
        (lambda: SCNet(num_bins=2), "cannot be compressed"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make, reason):
    with torch.device("meta"), pytest.raises(UsageError, match=reason):
        make()
