"""Network on blocks of a sliCQ; the importer's tests compare its vectors."""

from __future__ import annotations

import pytest
import torch

from soloist.errors import UsageError
from soloist.networks import Autoencoder, BiLSTM, BlockShape, XumxSliCQ
from soloist.networks.layers.convolutions import Whitening
from soloist.transforms import SliCQ

SHAPES = [BlockShape(4, 16), BlockShape(12, 20), BlockShape(2, 104)]
DESIGNS = [
    Autoencoder((3, 4)),
    Autoencoder((3, 4), as_released=True),
    BiLSTM(layers=1),
    BiLSTM(as_released=True),
]


def magnitudes(slices=6, batch=2, channels=2):
    torch.manual_seed(1)
    return [torch.rand(batch, channels, shape.bins, slices, shape.width) for shape in SHAPES]


def network(design, **options):
    torch.manual_seed(0)
    return XumxSliCQ(SHAPES, 3, 2, design=design, **options).eval()


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("slices", [1, 2, 7])
def test_there_is_a_mask_for_each_source_and_coefficient(design, slices):
    blocks = magnitudes(slices)
    with torch.no_grad():
        masks = network(design)(blocks)
    assert [mask.shape for mask in masks] == [(2, 3, *block.shape[1:]) for block in blocks]
    assert all(((mask > 0) & (mask < 1)).all() for mask in masks)


def test_blocks_that_begin_above_the_bandwidth_pass():
    net = network(DESIGNS[0], num_bins=5)
    masks = net(magnitudes())
    assert len(net.blocks) == 2
    assert masks[1].max() < 1
    assert (masks[2] == 1).all()


def test_a_bandwidth_below_everything_is_refused():
    with pytest.raises(UsageError, match="none of 3 blocks lies below bin 0"):
        XumxSliCQ(SHAPES, num_bins=0)


@pytest.mark.parametrize("as_released", [False, True])
def test_parameters_are_the_published_ones(as_released):
    transform = SliCQ()
    shapes = [BlockShape(block.bins, block.width) for block in transform.blocks]
    with torch.device("meta"):
        limited = XumxSliCQ(shapes, num_bins=243, design=Autoencoder(as_released=as_released))
        whole = XumxSliCQ(shapes, design=Autoencoder(as_released=as_released))
        recurrent = XumxSliCQ(shapes, num_bins=243, design=BiLSTM(as_released=as_released))
    assert sum(parameter.numel() for parameter in limited.parameters()) == 6_671_856
    assert sum(parameter.numel() for parameter in whole.parameters()) == 9_505_144
    # The original has 1,944 more, which it does not use.
    assert sum(parameter.numel() for parameter in recurrent.parameters()) == 1_891_456 - 1_944


@pytest.mark.parametrize("design", [Autoencoder((8, 8)), Autoencoder((8, 8), as_released=True)])
def test_a_mask_depends_on_nothing_beyond_its_radius(design):
    torch.manual_seed(2)
    net = XumxSliCQ([BlockShape(2, 104)], 4, 1, design=design).double().eval()
    block = torch.rand(1, 1, 2, 9, 104, dtype=torch.float64)
    changed = block.clone()
    changed[..., 4, 0] += 1
    with torch.no_grad():
        difference = (net([changed])[0] - net([block])[0]).abs().amax(dim=(0, 1, 2, 3))
    # Position of each coefficient of a mask on the time axis of the overlapping slices.
    times = torch.arange(9)[:, None] * 52 + torch.arange(104)
    reach = (times[difference > 0] - 4 * 52).abs().max().item()
    assert net.radius * 104 - 8 <= reach <= net.radius * 104


@pytest.mark.parametrize(("as_released", "late"), [(False, 0), (True, 52)])
def test_a_slice_reads_its_masks_at_its_own_times(as_released, late):
    """The released code reads the end of a slice's masks from the middle of the slice."""
    net = XumxSliCQ([BlockShape(1, 104)], 1, 1, design=Autoencoder((3, 4), as_released=as_released)).eval()
    net.blocks[0].run = lambda x: x
    with torch.no_grad():
        net.blocks[0].head.weight.copy_(torch.tensor([0.0, 1.0, 0.0]))
        click = torch.zeros(1, 1, 1, 5, 104)
        click[..., 2, 103] = 4.0
        masks = net([click])[0].flatten(0, 3)[0]
    own = masks[3 if as_released else 2]
    time = (3 if as_released else 2) * 52 + own.argmax().item()
    assert time - (2 * 52 + 103) == late


def test_channels_of_the_sources_share_nothing():
    net = network(Autoencoder((3, 4)))
    before = net(magnitudes())[0]
    with torch.no_grad():
        net.blocks[0].layers[0].conv.weight[:3] += 1
    after = net(magnitudes())[0]
    assert not torch.equal(after[:, 0], before[:, 0])
    assert torch.equal(after[:, 1:], before[:, 1:])


def test_statistics_whiten_what_has_them_and_spare_what_is_silent():
    whitening = Whitening(3, 4)
    deviation = torch.tensor([2.0, 0.5, 0.0, 1e-9])
    whitening.set_statistics(torch.tensor([1.0, 2.0, 3.0, 4.0]), deviation)
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])[None, None, :, None] + deviation[:, None]
    torch.testing.assert_close(whitening(x)[0, :, :2, 0], torch.ones(3, 2))
    assert whitening.scale.max() == 1 / 2e-4
    assert torch.isfinite(whitening.scale).all()
    silent = Whitening(1, 2)
    silent.set_statistics(torch.zeros(2), torch.zeros(2))
    assert (silent(torch.zeros(1, 1, 2, 3)) == 0).all()


@pytest.mark.parametrize("design", DESIGNS)
def test_everything_is_trained(design):
    net = network(design).train()
    sum(mask.sum() for mask in net(magnitudes())).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_a_recurrent_network_takes_a_single_bin_and_channel():
    net = XumxSliCQ([BlockShape(1, 16)], 2, 1, design=BiLSTM()).eval()
    assert net([torch.rand(1, 1, 1, 3, 16)])[0].shape == (1, 2, 1, 1, 3, 16)


@pytest.mark.parametrize("as_released", [False, True])
def test_the_recurrent_network_hears_moments_one_after_the_other(as_released):
    """In the released code a step is a piece of a bin, so that a change at the end reaches other items."""
    net = network(BiLSTM(as_released=as_released))
    blocks = magnitudes()
    with torch.no_grad():
        together = net(blocks)[0]
        alone = torch.cat([net([block[i : i + 1] for block in blocks])[0] for i in range(2)])
    assert torch.allclose(together, alone, atol=1e-6) is not as_released


@pytest.mark.parametrize(
    ("design", "told"),
    [
        (lambda: Autoencoder((0, 4)), r"hidden_channels \[0, 4\] must be at least 1"),
        (lambda: BiLSTM(layers=0), "layers 0 must be at least 1"),
    ],
)
def test_a_design_of_nothing_is_refused(design, told):
    with pytest.raises(UsageError, match=told):
        design()
