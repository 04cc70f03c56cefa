"""SuDoRM-RF in all variants: published sizes, fast inference, properties of each variant."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch

from soloist.errors import UsageError
from soloist.networks import (
    AttentiveSuDoRMRF,
    CausalSuDoRMRF,
    GlobalNorm,
    GroupCommSuDoRMRF,
    OriginalSuDoRMRF,
    SuDoRMRF,
)
from soloist.networks.layers.frames import FrameConv, channels_last
from soloist.networks.sudormrf.group_communication import TransformAverageConcatenate
from soloist.networks.sudormrf.improved import Pyramid
from soloist.profiling import count_operations
from soloist.separators import sudormrf_design, sudormrf_preset

COMPLEXITY = json.loads((Path(__file__).parents[1] / "fixtures" / "sudormrf" / "complexity.json").read_text())
VARIANTS = {
    "SuDORMRF_original": "original",
    "SuDORMRF_improved": "improved",
    "GroupCommSudoRmRf": "groupcomm",
    "CausalSuDORMRF": "causal",
}
SIZES = {"num_filters": 12, "channels": 8, "hidden_channels": 16, "num_blocks": 2, "depth": 3}
NETWORKS = {
    "original": lambda: OriginalSuDoRMRF(**SIZES),
    "as many channels as filters": lambda: OriginalSuDoRMRF(**{**SIZES, "channels": SIZES["num_filters"]}),
    "improved": lambda: SuDoRMRF(**SIZES),
    "groupcomm": lambda: GroupCommSuDoRMRF(**SIZES, num_groups=4),
    "causal": lambda: CausalSuDoRMRF(**SIZES),
    "attentive": lambda: AttentiveSuDoRMRF(**SIZES, num_heads=2, head_size=4),
}


def _network(name: str, seed: int = 0):
    """Network without any part that is the identity."""
    torch.manual_seed(seed)
    network = NETWORKS[name]().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


@pytest.mark.slow
@pytest.mark.parametrize(
    "published",
    COMPLEXITY["models"],
    ids=lambda published: published["name"],
)
def test_parameters_and_operations_are_those_published(published):
    args, variant = published["args"], VARIANTS[published["system"]]
    sizes = {
        "num_filters": args["enc_num_basis"],
        "channels": args["out_channels"],
        "hidden_channels": args["in_channels"],
        "num_blocks": args["num_blocks"],
        "depth": args["upsampling_depth"],
    }
    if variant == "original":
        sizes["unused_norm"] = True
    with torch.device("meta"):
        separator = sudormrf_design(variant, sizes, kernel_size=args["enc_kernel_size"]).build().eval()
    assert sum(parameter.numel() for parameter in separator.parameters()) == published["num_parameters"]
    one, four = published["flops"]["8000"], published["flops"]["32000"]
    assert count_operations(lambda: separator(torch.empty(1, 1, 8000, device="meta"))) == one
    # Unless a second is padded, four of them take four times the operations of one, and show nothing else.
    if four != 4 * one:
        assert count_operations(lambda: separator(torch.empty(1, 1, 32000, device="meta"))) == four


@pytest.mark.parametrize(
    ("preset", "millions"),
    [
        ("original-0.25x", 0.79),
        ("original-0.5x", 1.41),
        ("original-1.0x", 2.66),
        ("improved-u16", 5.02),
        ("improved-u16-2048", 6.36),
        ("improved-u36-2048", 23.24),
        ("improved-u36-4096", 26.61),
        ("groupcomm-u8", 0.51),
    ],
)
def test_presets_have_the_published_sizes(preset, millions):
    with torch.device("meta"):
        separator = sudormrf_preset(preset).build()
    assert round(sum(parameter.numel() for parameter in separator.parameters()) / 1e6, 2) == millions


@pytest.mark.parametrize("name", NETWORKS)
def test_optimized_without_gradients_is_the_same(name):
    network = _network(name)
    features = torch.randn(2, 12, 24)
    expected = network(features).detach()
    with torch.no_grad():
        assert torch.allclose(network(features), expected, atol=1e-5)
    optimized = copy.deepcopy(network)
    for module in list(optimized.modules()):
        if hasattr(module, "optimize"):
            module.optimize()
    kept = features.clone()
    with torch.inference_mode():
        for _ in range(2):
            assert (optimized(features) - expected).abs().max() < 2e-5 * expected.abs().max()
    assert torch.equal(features, kept)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_item_does_not_depend_on_its_batch(name):
    network, features = _network(name), torch.randn(3, 12, 16)
    with torch.no_grad():
        together = network(features)
        assert torch.allclose(network(features[1:2]), together[1:2], atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_parameter(name):
    network = _network(name)
    network(torch.randn(2, 12, 16)).square().sum().backward()
    assert [
        key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()
    ] == []


def test_masks_of_the_original_add_up_to_one():
    masks = _network("original")(torch.randn(1, 12, 16))
    assert torch.allclose(masks.sum(dim=1), torch.ones(1, 12, 16), atol=1e-6)


def test_a_single_source_of_the_original_has_a_mask_below_one():
    masks = OriginalSuDoRMRF(**SIZES, num_outputs=1)(torch.randn(1, 12, 16))
    assert 0 < masks.min() < masks.max() < 1


def test_as_many_channels_as_filters_are_masks_input_as_they_are():
    """As in the original, whose weights then lack the layer."""
    network, features = _network("as many channels as filters"), torch.randn(1, 12, 16)
    blocks = network.blocks(network.bottleneck(network.norm(features)))
    assert torch.allclose(network(features), network.mask(blocks).softmax(dim=1))
    assert not any(name.startswith("expand") for name in network.state_dict())


def test_an_odd_number_of_filters_gets_as_many_masks():
    network = OriginalSuDoRMRF(**{**SIZES, "num_filters": 13}, num_outputs=3)
    assert network(torch.randn(1, 13, 16)).shape == (1, 3, 13, 16)


def test_masks_of_the_improved_network_are_not_negative():
    assert _network("improved")(torch.randn(1, 12, 16)).min() == 0


def test_the_unused_norm_only_counts():
    plain, counted = OriginalSuDoRMRF(**SIZES), OriginalSuDoRMRF(**SIZES, unused_norm=True)
    counted.load_state_dict(plain.state_dict(), strict=False)
    features = torch.randn(1, 12, 16)
    assert torch.equal(plain(features), counted(features))
    assert not any(parameter.requires_grad for parameter in counted.unused_norm.parameters())


def test_frames_that_cannot_be_halved_are_refused():
    with pytest.raises(UsageError, match="18 frames cannot be halved 2 times"):
        _network("improved")(torch.randn(1, 12, 18))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_pyramid_sums_its_resolutions(depth):
    """Levels that pick every second frame give sums of held samples."""

    class Pick(torch.nn.Module):
        def __init__(self, stride: int) -> None:
            super().__init__()
            self.stride = stride

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[..., :: self.stride].clone()

    x = torch.randn(1, 2, 16)
    frames = torch.arange(16)
    expected = sum(x[..., frames // 2**level * 2**level] for level in range(depth))
    pyramid = Pyramid([Pick(2 if level else 1) for level in range(depth)])
    assert torch.allclose(pyramid(x), expected)
    with torch.no_grad():
        assert torch.allclose(pyramid(x), expected)


@pytest.mark.parametrize("inplace", [False, True])
def test_the_norm_keeps_small_variations_on_a_large_mean(inplace):
    norm = GlobalNorm(4, inplace=inplace)
    x = torch.randn(2, 4, 1000, dtype=torch.float64)
    expected = (x - x.mean((1, 2), keepdim=True)) / x.var((1, 2), correction=0, keepdim=True).sqrt()
    with torch.no_grad():
        normalized = norm(channels_last(x.float() + 100))
    assert (normalized - expected).abs().max() < 1e-3


@pytest.mark.parametrize(("groups", "stride"), [(1, 1), (6, 1), (6, 2)])
def test_a_frame_convolution_is_a_convolution_in_either_layout(groups, stride):
    conv = FrameConv(6, 6, 5, stride, padding=2, groups=groups)
    x = torch.randn(2, 6, 20)
    expected = torch.nn.functional.conv1d(x, conv.weight, conv.bias, stride, 2, groups=groups)
    with torch.no_grad():
        last = conv(channels_last(x))
    assert torch.allclose(conv(x), expected, atol=1e-6)
    assert torch.allclose(last, expected, atol=1e-6)
    assert last.stride(1) == 1


def test_groups_are_equal_before_communication():
    """Permuted groups give permuted results: groups exchange only their mean."""
    torch.manual_seed(0)
    communication = TransformAverageConcatenate(3, 9)
    x = torch.randn(2, 4, 3, 10)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(communication(x[:, order]), communication(x)[:, order], atol=1e-6)


def test_groups_hear_each_other():
    torch.manual_seed(0)
    communication = TransformAverageConcatenate(3, 9)
    x = torch.randn(1, 4, 3, 10)
    changed = x.clone()
    changed[:, 3] += 1
    assert not torch.allclose(communication(changed)[:, 0], communication(x)[:, 0])


def test_channels_that_do_not_split_are_refused():
    with pytest.raises(UsageError, match="do not split into 3 groups"):
        GroupCommSuDoRMRF(**SIZES, num_groups=3)
