"""Recurrent networks on spectrograms, and mel bands."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from soloist.errors import UsageError
from soloist.networks import MelProjection, RecurrentNetwork
from soloist.networks.layers.mel import hz_to_mel, mel_filters, mel_to_hz
from soloist.networks.layers.normalization import InputNorm
from soloist.networks.layers.recurrence import make_rnn

BINS, FRAMES = 33, 7


def network(inputs=2, outputs=6, **options):
    torch.manual_seed(0)
    options = {"num_bins": BINS, "hidden_size": 8, "layers": 2} | options
    return RecurrentNetwork(inputs, outputs, **options).eval()


def levels(inputs=2, frames=FRAMES):
    generator = torch.Generator().manual_seed(1)
    return 20 * torch.randn(3, inputs, BINS, frames, generator=generator) - 30


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("normalization", ["none", "batch", "bins", "instance"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_any_number_of_frames_comes_back(cell, normalization, bidirectional):
    net = network(cell=cell, normalization=normalization, bidirectional=bidirectional)
    for frames in (1, 5):
        planes = net(levels(frames=frames))
        assert planes.shape == (3, 6, BINS, frames)
        assert planes.isfinite().all()


def test_items_of_a_batch_do_not_meet():
    net, mixture = network(), levels()
    assert_close(net(mixture)[1:2], net(mixture[1:2]))


@pytest.mark.parametrize(("bidirectional", "sees_ahead"), [(True, True), (False, False)])
def test_only_both_directions_see_what_comes(bidirectional, sees_ahead):
    net, mixture = network(bidirectional=bidirectional), levels()
    changed = mixture.clone()
    changed[..., -1] += 10
    before, after = net(mixture)[..., :-1], net(changed)[..., :-1]
    assert (not torch.equal(before, after)) == sees_ahead
    assert net.receptive_field is None


def test_planes_are_those_of_the_linear_layer_bin_by_bin():
    """A head with only a bias shows the order of its rows."""
    net = network()
    nn.init.zeros_(net.head.weight)
    net.head.bias.data = torch.arange(6.0 * BINS)
    assert_close(net(levels())[0, :, :, 0], torch.arange(6.0 * BINS).view(6, BINS))


def test_a_softmax_is_over_the_sources():
    masks = network(activation="softmax")(levels()).unflatten(1, (3, 2))
    assert_close(masks.sum(1), torch.ones(3, 2, BINS, FRAMES))
    assert masks.min() > 0


def test_an_activation_bounds_the_planes():
    masks = network(activation="sigmoid")(levels())
    assert 0 < masks.min() < masks.max() < 1


@pytest.mark.parametrize(
    ("cell", "gates", "layers", "size", "directions"), [("lstm", 4, 4, 600, 2), ("gru", 3, 2, 300, 1)]
)
def test_it_has_as_many_parameters_as_its_layers_say(cell, gates, layers, size, directions):
    with torch.device("meta"):
        net = RecurrentNetwork(
            1, 20, num_bins=129, hidden_size=size, layers=layers, cell=cell, bidirectional=directions == 2
        )
    first, others = 129 + size + 2, directions * size + size + 2
    recurrent = directions * gates * size * (first + (layers - 1) * others)
    head = 20 * 129 * (directions * size + 1)
    assert sum(weight.numel() for weight in net.parameters()) == recurrent + head + 2


def test_an_lstm_begins_by_remembering():
    """The sum of both biases is one for the forget gate, and zero for the others."""
    rnn = make_rnn("lstm", 5, 4, layers=2)
    for suffix in ("l0", "l0_reverse", "l1", "l1_reverse"):
        bias = getattr(rnn, f"bias_ih_{suffix}") + getattr(rnn, f"bias_hh_{suffix}")
        assert_close(bias.unflatten(0, (4, 4)).detach(), torch.tensor([[0.0], [1], [0], [0]]).expand(4, 4))


def test_a_gru_begins_without_biases_and_with_weights_of_xavier_s_size():
    rnn = make_rnn("gru", 300, 200)
    assert not any(bias.any() for name, bias in rnn.named_parameters() if "bias" in name)
    for gate in rnn.weight_ih_l0.split(200):
        assert gate.std().item() == pytest.approx((2 / 500) ** 0.5, rel=0.02)


def test_one_statistic_is_over_all_points():
    norm = InputNorm("batch", BINS).train()
    assert norm.norm.running_mean.shape == (1,)
    y = norm(levels())
    assert y.mean().item() == pytest.approx(0, abs=1e-5)
    assert y.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert_close(y, (levels() - levels().mean()) / levels().std(correction=0), atol=1e-5, rtol=0)


def test_statistics_of_bins_are_over_all_else():
    x = levels() * torch.arange(1.0, BINS + 1).view(-1, 1)
    y = InputNorm("bins", BINS).train()(x)
    assert_close(y.mean((0, 1, 3)), torch.zeros(BINS), atol=1e-5, rtol=0)
    assert_close(y.var((0, 1, 3), correction=0), torch.ones(BINS), atol=1e-4, rtol=0)


def test_statistics_of_an_instance_are_its_own():
    x = levels() * torch.arange(1.0, 4).view(-1, 1, 1, 1)
    norm = InputNorm("instance", BINS).eval()
    assert_close(norm(x).mean((1, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    assert_close(norm(x)[1:2], norm(x[1:2]))


def test_it_learns():
    """Masks for the points above and below the median of their frame."""
    torch.manual_seed(0)
    net = network(1, 2, activation="softmax", cell="gru", dropout=0.0).train()
    mixture = levels(1)
    louder = (mixture > mixture.median(dim=2, keepdim=True).values).float()
    wanted = torch.cat([louder, 1 - louder], dim=1)
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    losses = []
    for _ in range(60):
        loss = (net(mixture) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad.any() for parameter in net.parameters())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("mel_outputs", [False, True])
@pytest.mark.parametrize("trainable", [False, True])
def test_mel_bands_in_the_place_of_bins(mel_outputs, trainable):
    net = network(mel=MelProjection(BINS, 6, 8000, trainable=trainable), mel_outputs=mel_outputs)
    planes = net(levels())
    assert planes.shape == (3, 6, BINS, FRAMES)
    assert net.rnn.input_size == 2 * 6
    assert net.head.out_features == 6 * (6 if mel_outputs else BINS)
    planes.square().mean().backward()
    assert (net.mel.gather.grad is not None) == trainable
    assert (net.mel.scatter.grad is not None) == (trainable and mel_outputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "rnn"}, "cell 'rnn' is none of lstm, gru"),
        ({"normalization": "layer"}, "normalization 'layer' is none of none, batch, bins, instance"),
        ({"activation": "softplus"}, "activation 'softplus' is none of"),
        ({"activation": "softmax", "outputs": 5}, "needs a multiple as outputs: 5"),
        ({"mel_outputs": True}, "give one as mel"),
        ({"mel": MelProjection(65, 6, 8000)}, "of 65 bins, and the spectrogram of 33"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        network(**options)


def test_another_number_of_bins_is_refused():
    with pytest.raises(UsageError, match="made for 33 bins and was given 32"):
        network()(torch.rand(1, 2, 32, 4))


def test_the_scale_is_linear_and_then_logarithmic():
    hz = np.array([0.0, 200, 1000, 6400, 8000])
    assert hz_to_mel(hz) == pytest.approx([0, 3, 15, 42, 45.2456], abs=1e-4)
    assert mel_to_hz(hz_to_mel(hz)) == pytest.approx(hz)


def test_bands_overlap_by_half_and_weigh_one():
    filters = mel_filters(257, 20, 8000)
    assert filters.min() == 0
    assert filters.sum(axis=1) == pytest.approx(np.ones(20))
    # A constant does not change.
    mel = MelProjection(257, 20, 8000)
    assert_close(mel(torch.full((2, 257, 3), 0.7)), torch.full((2, 20, 3), 0.7))
    peaks = filters.argmax(axis=1)
    edges = np.linspace(0, hz_to_mel(np.array(4000.0)), 22)[1:-1]
    assert peaks * 4000 / 256 == pytest.approx(mel_to_hz(edges), abs=4000 / 256)


def test_what_lies_in_bands_comes_back_to_them():
    mel = MelProjection(257, 20, 8000)
    bands = torch.randn(2, 20, 5)
    assert_close(mel(mel.inverse(bands)), bands, atol=1e-5, rtol=0)


def test_too_many_bands_are_refused():
    with pytest.raises(UsageError, match="num_mels 40 are too many for 33 bins"):
        MelProjection(33, 40, 8000)


def test_bands_are_those_of_the_reference(shared):
    with np.load(shared / "reference/nussl/modules.npz") as vectors:
        mel = MelProjection(12, 4, 8000)
        there, back = (vectors[f"state/{name}/transform.weight"] for name in ("mel_fwd", "mel_bwd_clamp"))
    assert mel.gather.numpy() == pytest.approx(there, abs=1e-5)
    assert mel.scatter.numpy() == pytest.approx(back, abs=1e-5)
