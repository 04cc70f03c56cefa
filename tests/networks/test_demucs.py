"""Networks of Demucs: sizes, initialisation, and ways to compute them that must agree."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from soloist.config import build_object
from soloist.errors import UsageError
from soloist.networks import (
    BranchDesign,
    CrossTransformerDesign,
    Demucs,
    DemucsDesign,
    HDemucs,
    HTDemucs,
    HybridDesign,
)
from soloist.networks.demucs import branch_arithmetic, stages
from soloist.networks.demucs.hybrid_network import plan_stages
from soloist.networks.demucs.stages import Upsampling
from soloist.networks.demucs.time_demucs import SincResampling
from soloist.zoo.importers.demucs import separator_config

STEMS = ["drums", "bass", "other", "vocals"]
HTDEMUCS = {"dconv_mode": 3, "bottom_channels": 512}

COUNTS = [
    ("HTDemucs", {"sources": STEMS, **HTDEMUCS}, 41984456),
    ("HTDemucs", {"sources": [*STEMS, "guitar", "piano"], **HTDEMUCS, "bottom_channels": 0}, 27414996),
    ("HDemucs", {"sources": STEMS}, 83637832),
    ("Demucs", {"sources": STEMS, "rewrite": False}, 88984040),
    ("Demucs", {"sources": STEMS}, 133753064),
]


@pytest.mark.parametrize(("network", "options", "count"), COUNTS)
def test_published_sizes(network, options, count):
    config = separator_config(network, options)["init_args"]["network"]
    with torch.device("meta"):
        built = build_object(config, "test", torch.nn.Module)
    assert sum(parameter.numel() for parameter in built.parameters()) == count


def make_small(depth=3, **sizes):
    design = HybridDesign(
        num_bins=128,
        channels=8,
        depth=depth,
        branches=BranchDesign(compression=4, initial_scale=0.5),
        **sizes,
    )
    network = HTDemucs(design, CrossTransformerDesign(channels=16, layers=2, heads=2, hidden_scale=2.0))
    for name, parameter in network.named_parameters():
        if name.endswith(("gains", "gates_norm.bias", "norm.bias")):
            torch.nn.init.normal_(parameter, std=0.5)
    return network.eval()


@pytest.mark.parametrize("tile", [1, 300, 2**20])
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"depth": 2},
        {"norm_from": 1},
        {"context": 0, "encoder_context": 1},
        {"depth": 2, "branches_in_decoder": False},
    ],
)
@pytest.mark.parametrize("batch", [1, 2])
def test_tiles_do_not_change_the_output(sizes, batch, tile, monkeypatch):
    for module in (stages, branch_arithmetic):
        monkeypatch.setattr(module, "TILE", tile)
    network = make_small(**sizes)
    spectrogram, waveform = torch.randn(batch, 4, 128, 11), torch.randn(batch, 2, 700)
    plain = network(spectrogram, waveform)
    with torch.no_grad():
        fast = network(spectrogram, waveform)
    for found, expected in zip(fast, plain, strict=True):
        assert_close(found, expected.detach(), rtol=0, atol=1e-5 * expected.abs().max().item())


def test_gradients_reach_all_weights():
    network = make_small().train()
    spectrogram, waveform = network(torch.randn(1, 4, 128, 11), torch.randn(1, 2, 700))
    (spectrogram.square().sum() + waveform.square().sum()).backward()
    missing = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    # Where frequency is used up, the waveform leaves the spectrogram's decoder, not the transformer.
    assert all("time_layers.1" in name or "narrow_time" in name for name in missing)


@pytest.mark.parametrize("axis", ["frequency", "time"])
@pytest.mark.parametrize("tile", [1, 700, 2**20])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("stride", "padding"), [(4, 2), (4, 0), (1, 0), (3, 5)])
def test_a_transposed_convolution_as_a_plain_one(axis, tile, batch, stride, padding, monkeypatch):
    monkeypatch.setattr(stages, "TILE", tile)
    sizes = {"kernel_size": 2 * stride, "stride": stride, "padding": padding}
    up = Upsampling(6, 4, axis=axis, **sizes, norm_groups=None, activation=stride > 1)
    x = torch.randn(batch, 6, 5, 7)
    for length in (None, 4, 1000):
        plain = up(x, length).detach()
        with torch.no_grad():
            assert_close(up(x, length), plain, rtol=0, atol=1e-5)


def test_equal_bands_are_no_bands():
    """Bands with the same weights give what the stage without bands gives, at the seams too."""
    sizes = {"num_bins": 512, "channels": 4, "depth": 2, "norm_from": 9, "branches": BranchDesign(depth=0)}
    whole = HDemucs(HybridDesign(context=0, **sizes))
    banded = HDemucs(HybridDesign(context=0, bands=(0.1, 0.3), **sizes))
    state = whole.state_dict()
    for name in banded.state_dict():
        parts = name.split(".")
        if "bands" in parts:
            at = parts.index("bands")
            state[name] = state[".".join(parts[:at] + parts[at + 2 :])]
    known = banded.state_dict().keys()
    banded.load_state_dict({name: value for name, value in state.items() if name in known})
    inputs = torch.randn(1, 4, 512, 5), torch.randn(1, 2, 320)
    for found, expected in zip(banded(*inputs), whole(*inputs), strict=True):
        assert_close(found, expected, rtol=0, atol=1e-5)


def test_begins_as_published():
    network = HTDemucs(
        HybridDesign(num_bins=512, channels=16, branches=BranchDesign(compression=8)),
        CrossTransformerDesign(64),
    )
    plain = torch.nn.Conv2d(4, 16, (8, 1)).weight.std()
    rescaled = network.encoders[0].down.conv.weight.std()
    # Halfway, in decibels, between PyTorch's deviation and 0.1.
    assert rescaled.item() == pytest.approx((plain * 0.1).sqrt().item(), rel=0.15)
    assert network.encoders[0].branches[0].scale.eq(1e-3).all()
    assert network.transformer.layers[0].gains.eq(1e-4).all()
    code = network.frequency_code.values
    assert (code[-1] - code[-2]).abs().mean() < 0.2 * (code[1] - code[0]).abs().mean()


def test_designs_that_do_not_fit():
    with pytest.raises(UsageError, match="102 rows of frequency at stage 0"):
        plan_stages(HybridDesign(num_bins=102))
    with pytest.raises(UsageError, match="cannot have bands"):
        plan_stages(HybridDesign(bands=(0.5,), norm_from=1))
    with pytest.raises(UsageError, match="too few"):
        HDemucs(HybridDesign(channels=4, branches=BranchDesign(compression=8)))
    with pytest.raises(UsageError, match="multiple of 4"):
        HTDemucs(HybridDesign(channels=8, branches=BranchDesign(compression=4)), CrossTransformerDesign(18))


@pytest.mark.parametrize("resample", [False, True])
def test_valid_lengths(resample):
    network = Demucs(DemucsDesign(channels=4, depth=3, norm_from=9, resample=resample)).eval()
    for samples in (1, 100, 777):
        length = network.valid_length(samples)
        assert length >= samples
        assert network.valid_length(length) == length
        with torch.no_grad():
            assert network(torch.randn(1, 2, length)).shape == (1, 4, 2, length)


def test_resampling_keeps_a_low_tone():
    tone = torch.sin(torch.arange(2000) * 0.2)[None, None]
    doubled = SincResampling(1, 2)(tone)
    assert_close(doubled[..., 400:3600:2], tone[..., 200:1800], rtol=0, atol=1e-3)
    assert_close(SincResampling(2, 1)(doubled)[..., 200:-200], tone[..., 200:-200], rtol=0, atol=1e-3)
