import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.networks import SpleeterUNet
from soloist.networks.spleeter_unet import FixedNorm
from soloist.separators import Optimizable

SIZES = {"num_bins": 33, "num_input_bins": 24, "filters": (3, 4, 5)}


def make(**options):
    """Network with norms of either sign that are not the identity."""
    torch.manual_seed(2)
    network = SpleeterUNet(**{**SIZES, **options}).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 0.3, 1.0)
            nn.init.normal_(module.bias, 0.0, 0.3)
            nn.init.normal_(module.running_mean, 0.0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network


def magnitudes(frames=19, batch=2, bins=33):
    return torch.rand(batch, 2, bins, frames, generator=torch.Generator().manual_seed(frames))


def same(x, kernel, stride, dilation=1):
    """Zeros around `(batch, channels, frequency, frames)`, fewer before than behind, as TensorFlow pads."""
    sides = []
    for size in (x.shape[-1], x.shape[-2]):
        total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides)


def plain_logits(branch, x):
    """The formulas, step by step, with leaky ReLUs and ReLUs."""
    skips = []
    for encoder in branch.encoders:
        x = F.conv2d(same(x, 5, 2), encoder.conv.weight, encoder.conv.bias, 2)
        skips.append(x)
        x = F.leaky_relu(encoder.norm(x), 0.2) if encoder.norm is not None else x
    x = skips.pop()
    for decoder in branch.decoders:
        full = F.conv_transpose2d(x, decoder.conv.weight, decoder.conv.bias, 2)
        x = decoder.norm(full[..., 1:-2, 1:-2].relu())
        x = torch.cat([skips.pop(), x], dim=1) if skips else x
    return F.conv2d(same(x, 4, 1, 2), branch.head.weight, branch.head.bias, dilation=2)


def test_the_network_is_that_of_the_formulas():
    network, x = make(num_frames=16), magnitudes(32)
    pieces = torch.cat([x[..., :24, :16], x[..., :24, 16:]])
    masks = torch.cat([plain_logits(branch, pieces) for branch in network.branches], dim=1).sigmoid()
    expected = torch.cat(masks.split(2), dim=-1)
    torch.testing.assert_close(network(x)[..., :24, :], expected, rtol=0, atol=1e-6)
    assert not network(x)[..., 24:, :].any()


@pytest.mark.parametrize("num_frames", [None, 16, 11])
@pytest.mark.parametrize("frames", [1, 16, 19])
def test_any_number_of_frames_has_a_mask(num_frames, frames):
    masks = make(num_frames=num_frames, num_input_bins=None)(magnitudes(frames))
    assert masks.shape == (2, 4, 33, frames)
    assert ((masks > 0) & (masks < 1)).all()


def test_pieces_do_not_know_each_other():
    network, x = make(num_frames=16), magnitudes(48)
    alone = [network(piece) for piece in x.split(16, dim=-1)]
    assert torch.equal(network(x), torch.cat(alone, dim=-1))


def test_a_softmax_shares_each_point_out():
    masks = make(num_sources=3, mask_activation="softmax")(magnitudes()).unflatten(1, (3, 2))
    torch.testing.assert_close(masks[..., :24, :].sum(dim=1), torch.ones(2, 2, 24, 19))


@pytest.mark.parametrize("activations", [("leaky_relu", "relu"), ("elu", "elu"), ("relu", "leaky_relu")])
def test_optimizing_does_not_change_the_masks(activations):
    encoder, decoder = activations
    network = make(encoder_activation=encoder, decoder_activation=decoder)
    fast, x = copy.deepcopy(network), magnitudes(40)
    for module in list(fast.modules()):
        if isinstance(module, Optimizable):
            module.optimize()
    torch.testing.assert_close(fast(x), network(x), rtol=0, atol=5e-6)
    assert not any(
        isinstance(module, nn.ConvTranspose2d) for module in fast.branches[0].decoders[-1].modules()
    )


def test_a_frame_depends_on_what_lies_in_the_receptive_field():
    network = make(num_input_bins=8, num_bins=8).double()
    field, stride = network.receptive_field, network.stride
    x = magnitudes(2 * field + 3 * stride, 1, 8).double()
    before, reached = network(x), 0
    for frame in range(field, field + stride):
        changed = x.clone()
        changed[..., frame] += 1
        moved = (network(changed) != before).any(dim=2)[0, 0].nonzero()[:, 0]
        reached = max(reached, frame - moved.min().item(), moved.max().item() - frame)
    assert field - 3 <= reached <= field
    assert make(num_frames=16).receptive_field is None


def test_published_sizes():
    with torch.device("meta"):
        network = SpleeterUNet(unused_norm=True)
    assert sum(parameter.numel() for parameter in network.parameters()) == 2 * 9_823_749
    assert network.receptive_field == 255


def test_fixed_norms_are_a_gain_and_a_shift_in_training():
    network, x = make(fixed_norms=True, dropout=0.0), magnitudes(16)
    before = copy.deepcopy(network.state_dict())
    torch.testing.assert_close(network.train()(x), network.eval()(x), rtol=0, atol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert any(isinstance(module, FixedNorm) for module in network.modules())


def test_no_weight_is_unused_unless_asked_for():
    network = make().requires_grad_(True)
    network(magnitudes()).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_input_bins": 34}, r"num_input_bins 34 must lie in 1\.\.33"),
        ({"filters": (3,)}, "two positive numbers"),
        ({"num_frames": 0}, "num_frames 0 must be at least 1"),
        ({"decoder_activation": "swish"}, "'swish' is none of"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        make(**options)
    with pytest.raises(UsageError, match="made for 33 bins and was given 32"):
        make()(magnitudes(bins=32))
