import pytest
import torch

from soloist.config import construct
from soloist.errors import ConfigError, UsageError
from soloist.networks import SpectrogramNet, SpectrogramNetLSTM, SpectrogramNetVAE, Variational

SIZES = {"num_bins": 33, "hidden_channels": 2}
RECURRENT = {"hidden_size": 8, "recurrent_layers": 2}
ALL = [SpectrogramNet, SpectrogramNetLSTM, SpectrogramNetVAE]


def network(kind=SpectrogramNet, *arguments, seed=0, **options):
    """Network with norms that are not the identity."""
    torch.manual_seed(seed)
    sizes = {**SIZES, **(RECURRENT if kind is not SpectrogramNet else {}), **options}
    net = kind(*arguments, **sizes)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight, 1.0, 0.2)
            torch.nn.init.normal_(module.bias, 0.0, 0.2)
    return net.eval().requires_grad_(False)


def magnitudes(batch=2, channels=1, frames=70, bins=33):
    return torch.rand(batch, channels, bins, frames, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("frames", [1, 31, 32, 70])
def test_any_number_of_frames_has_a_mask(kind, frames):
    masks = network(kind, 2, 3)(magnitudes(channels=2, frames=frames))
    assert masks.shape == (2, 6, 33, frames)
    assert ((masks >= 0) & (masks <= 1)).all()
    assert masks.std() > 0


@pytest.mark.parametrize("kind", ALL)
def test_items_of_a_batch_do_not_know_each_other(kind):
    net, x = network(kind), magnitudes()
    alone = torch.cat([net(item[None]) for item in x])
    torch.testing.assert_close(net(x), alone, rtol=0, atol=1e-5)


def test_a_frame_depends_on_what_lies_in_the_receptive_field():
    net = network(normalize_input=False)
    field = net.receptive_field
    x = magnitudes(1, frames=2 * field + 3 * net.stride)
    reached = []
    for frame in (field, field + 13, field + net.stride - 1):
        changed = x.clone()
        changed[..., frame] += 1
        moved = (net(changed) != net(x)).any(dim=2)[0, 0].nonzero()[:, 0]
        reached += [frame - moved.min().item(), moved.max().item() - frame]
    # The outermost frames contribute less than single precision resolves.
    assert 0.95 * field < max(reached) <= field


def test_an_input_that_is_shifted_by_a_stride_has_a_mask_that_is():
    net = network(normalize_input=False)
    field = net.receptive_field
    x = magnitudes(1, frames=2 * field + 64 + net.stride)
    first, second = net(x), net(x[..., net.stride :])
    inner = slice(field, field + 64)
    torch.testing.assert_close(second[..., inner], first[..., net.stride :][..., inner], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ALL)
def test_there_is_no_bound_where_all_is_seen(kind):
    assert network(kind).receptive_field is None
    assert (network(kind, normalize_input=False).receptive_field is None) == (kind is not SpectrogramNet)


def test_an_lstm_relates_what_is_far_apart():
    """Along time, beyond the receptive field of the convolutions, in both directions."""
    field = network(normalize_input=False).receptive_field
    net = network(SpectrogramNetLSTM, normalize_input=False)
    x = magnitudes(1, frames=2 * field + 200)
    for frame, far in ((0, slice(field + 100, None)), (-1, slice(None, field + 100))):
        changed = x.clone()
        changed[..., frame] += 5
        assert (net(changed) - net(x))[..., far].abs().max() > 0


def test_the_level_does_not_matter_where_the_input_is_normalised():
    x = magnitudes()
    net = network()
    torch.testing.assert_close(net(1000 * x), net(100 * x), rtol=0, atol=1e-4)
    assert (network(normalize_input=False)(10 * x) - network(normalize_input=False)(x)).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ALL)
def test_no_weight_is_unused(kind):
    net = network(kind).requires_grad_(True)
    masks, latent = net.explain(magnitudes()) if kind is SpectrogramNetVAE else (net(magnitudes()), ())
    sum(part.square().sum() for part in (masks, *latent)).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in net.parameters())


@pytest.mark.parametrize("kind", ALL)
def test_channels_are_dropped_and_noise_is_drawn_in_training_only(kind):
    net, x = network(kind), magnitudes()
    assert torch.equal(net(x), net(x))
    assert not torch.equal(net.train()(x), net(x))


def test_a_vae_says_how_it_drew():
    net, x = network(SpectrogramNetVAE, dropout=0.0, recurrent_dropout=0.0), magnitudes()
    assert isinstance(net, Variational)
    assert not isinstance(network(SpectrogramNetLSTM), Variational)
    masks, (mean, deviation) = net.explain(x)
    assert torch.equal(masks, net(x))
    # Three times 32 frames, each with one bin and 32 channels.
    assert mean.shape == deviation.shape == (2, 3, 32)
    assert (deviation > 0).all()
    # Without width, training draws the mean.
    net.bottleneck.log_deviation.bias.fill_(-100.0)
    net.bottleneck.log_deviation.weight.zero_()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = None
    assert torch.equal(net.train()(x), net.eval()(x))


class TestNumberOfFrames:
    """Networks with a fixed number of frames: independent pieces."""

    @pytest.mark.parametrize("kind", ALL)
    @pytest.mark.parametrize("options", [{}, {"axis": "frequency"}])
    def test_longer_ones_are_cut(self, kind, options):
        net = network(kind, num_frames=40, **(options if kind is not SpectrogramNet else {}))
        x = magnitudes(frames=90)
        pieces = [net(piece) for piece in x[..., :80].split(40, dim=-1)]
        rest = net(torch.nn.functional.pad(x[..., 80:], (0, 30)))[..., :10]
        torch.testing.assert_close(net(x), torch.cat([*pieces, rest], dim=-1), rtol=0, atol=1e-5)
        if kind is SpectrogramNetVAE:
            mean = net.explain(x)[1][0]
            torch.testing.assert_close(mean[:, : mean.shape[1] // 3], net.explain(x[..., :40])[1][0])

    def test_each_frame_has_a_gain_of_its_own(self):
        assert network(num_frames=40).input_norm.gain.shape == (1, 33, 40)
        assert network().input_norm.gain.shape == (1, 33, 1)

    def test_the_frequency_axis_takes_one(self):
        with pytest.raises(UsageError, match="num_frames"):
            SpectrogramNetLSTM(**SIZES, axis="frequency")


def test_without_a_recurrence_each_moment_is_its_own():
    net = network(SpectrogramNetLSTM, recurrence="none")
    coded = torch.rand(2, 32, 1, 5)
    alone = [net.bottleneck(coded[..., moment : moment + 1]) for moment in range(5)]
    torch.testing.assert_close(net.bottleneck(coded), torch.cat(alone, dim=-1))


@pytest.mark.parametrize(("axis", "size"), [("time", 1), ("frequency", 2)])
def test_sizes_are_honoured(axis, size):
    net = network(SpectrogramNetLSTM, axis=axis, num_frames=64, hidden_size=11, recurrent_layers=4)
    lstm = net.bottleneck.lstm
    assert (lstm.hidden_size, lstm.num_layers, lstm.input_size) == (11, 4, 32 * size)


def test_masks_of_a_softmax_add_up_to_one():
    masks = network(SpectrogramNet, 2, 3, mask_activation="softmax")(magnitudes(channels=2))
    sums = masks.unflatten(1, (3, 2)).sum(dim=1)
    torch.testing.assert_close(sums, torch.ones_like(sums))
    masks = network(SpectrogramNet, 2, 3, mask_activation="channel_softmax")(magnitudes(channels=2))
    sums = masks.unflatten(1, (3, 2)).sum(dim=2)
    torch.testing.assert_close(sums, torch.ones_like(sums))


@pytest.mark.parametrize("kind", ALL)
def test_optimizing_does_not_change_the_masks(kind):
    net, x = network(kind), magnitudes()
    expected = net(x)
    for module in list(net.modules()):
        if hasattr(module, "optimize"):
            module.optimize()
    torch.testing.assert_close(net(x), expected, rtol=0, atol=1e-5)
    assert not any(isinstance(up.norm, torch.nn.BatchNorm2d) for up in net.ups)


@pytest.mark.parametrize("kind", ALL)
def test_it_learns(kind):
    net = network(kind, 1, 2, dropout=0.0).train().requires_grad_(True)
    x = magnitudes(2, frames=32)
    wanted = torch.cat([x > 0.5, x <= 0.5], dim=1).float()
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    losses = []
    for _ in range(20):
        loss = (net(x) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_bins": 31}, "num_bins must be 32 or more, not 31"),
        ({"num_frames": 8}, "num_frames must be 32 or more, not 8"),
        ({"hidden_channels": 0}, "hidden_channels 0 or leak 0 is out of range"),
        ({"leak": -0.1}, "leak -0.1 is out of range"),
        ({"mask_activation": "softmax"}, "softmax over a single source"),
        ({"mask_activation": "swish"}, "'swish' is none of sigmoid, "),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        SpectrogramNet(**{**SIZES, **options})


def test_another_number_of_bins_is_refused():
    with pytest.raises(UsageError, match="made for 33 bins and was given 32"):
        network()(magnitudes(bins=32))


def test_options_are_checked_wherever_they_are_declared():
    built = construct(SpectrogramNetVAE, {**SIZES, **RECURRENT, "leak": 0.1}, "here")
    assert built.bottleneck.lstm.hidden_size == 8
    with pytest.raises(ConfigError, match="did you mean 'hidden_channels'"):
        construct(SpectrogramNetVAE, {"hidden_channel": 2}, "here")


def test_what_only_pytorch_refuses_is_refused_by_the_name_of_the_part():
    with pytest.raises(ConfigError, match="network of mine: dropout probability has to be between 0 and 1"):
        construct(SpectrogramNet, {**SIZES, "dropout": 2.0}, "network of mine")
