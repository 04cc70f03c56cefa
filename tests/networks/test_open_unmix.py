import pytest
import torch

from published_open_unmix import cross_net, open_unmix, open_unmix_state
from soloist.errors import UsageError
from soloist.networks import CrossNetOpenUnmix, OpenUnmix
from soloist.zoo.importers.open_unmix_pytorch import translate

SIZES = {"hidden": 8, "num_bins": 33, "input_bins": 21, "layers": 2}


def states(count=3):
    return [open_unmix_state(seed=seed, **SIZES) for seed in range(count)]


def network(kind=OpenUnmix, count=3):
    """Network with the weights of several published ones, and the published networks."""
    parts = states(count)
    net = kind(count, 2, num_bins=33, num_input_bins=21, hidden_size=8, layers=2)
    net.load_state_dict(translate(parts))
    return net.eval().requires_grad_(False), parts


def magnitudes(batch=2, frames=9):
    return torch.rand(batch, 2, 33, frames, generator=torch.Generator().manual_seed(5))


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5 * expected.abs().max().item())


@pytest.mark.parametrize("frames", [1, 9])
def test_each_source_has_the_mask_of_its_own_network(frames):
    net, parts = network()
    masks = net(magnitudes(frames=frames)).unflatten(1, (3, 2))
    for item, mixture in enumerate(magnitudes(frames=frames)):
        for source, state in enumerate(parts):
            assert_close(masks[item, source], open_unmix(state, mixture))


def test_sources_of_a_cross_net_share_what_they_found():
    net, parts = network(CrossNetOpenUnmix)
    masks = net(magnitudes()).unflatten(1, (3, 2))
    for item, mixture in enumerate(magnitudes()):
        assert_close(masks[item], cross_net(parts, mixture))


@pytest.mark.parametrize("kind", [OpenUnmix, CrossNetOpenUnmix])
def test_optimizing_does_not_change_the_masks(kind):
    net, _ = network(kind)
    expected = net(magnitudes())
    for module in list(net.modules()):
        if hasattr(module, "optimize"):
            module.optimize()
    assert not any(isinstance(module, torch.nn.BatchNorm1d) for module in net.modules())
    assert_close(net(magnitudes()), expected)


def test_what_lies_above_the_bandwidth_is_not_seen_and_yet_has_a_mask():
    net, _ = network()
    mixture = magnitudes()
    changed = mixture.clone()
    changed[:, :, 21:] += 1
    assert (net(changed) == net(mixture)).all()
    assert net(mixture)[:, :, 21:].any()


def test_lstms_of_one_direction_hear_nothing_of_the_future():
    net = OpenUnmix(2, 2, num_bins=33, num_input_bins=21, hidden_size=7, layers=2, bidirectional=False).eval()
    state = net.state_dict()
    assert (net.lookahead, state["lstms.0.weight_hh_l1"].shape) == (0, (28, 7))
    mixture = magnitudes()
    changed = mixture.clone()
    changed[..., 5] += 1
    with torch.no_grad():
        same = (net(changed) == net(mixture)).flatten(0, 2).all(dim=0)
    assert same.tolist() == [True] * 5 + [False] * 4


def test_it_begins_with_the_statistics_it_is_given():
    net = OpenUnmix(2, 2, num_bins=33, num_input_bins=21, hidden_size=8)
    mean, deviation = torch.rand(33), torch.rand(33) + 0.1
    net.set_statistics(mean, deviation)
    for encoder in net.encoders:
        seen = encoder.whitening((mean + 2 * deviation).expand(1, 2, 4, 33).mT[:, :, :21])
        torch.testing.assert_close(seen, torch.full_like(seen, 2.0))


@pytest.mark.parametrize("kind", [OpenUnmix, CrossNetOpenUnmix])
@pytest.mark.parametrize(
    ("sources", "sizes", "expected"),
    [
        (4, {}, 4 * 8_893_348),
        (4, {"hidden_size": 1024}, 4 * 28_257_188),
        (2, {"channels": 1, "num_bins": 513, "num_input_bins": None, "hidden_size": 256}, 2 * 1_583_622),
    ],
)
def test_it_has_as_many_parameters_as_its_layers_say(kind, sources, sizes, expected):
    with torch.device("meta"):
        net = kind(sources, **sizes)
    assert sum(weight.numel() for weight in net.parameters()) == expected
    hidden = sizes.get("hidden_size", 512)
    bins, channels = net.num_bins, sizes.get("channels", 2)
    lstm = 3 * 2 * (4 * (hidden // 2) * (hidden + hidden // 2 + 2))
    dense = channels * net.num_input_bins * hidden + 2 * hidden * hidden + hidden * channels * bins
    rest = 2 * (2 * hidden + channels * bins) + 2 * net.num_input_bins + 2 * bins
    assert expected == sources * (lstm + dense + rest)


def test_it_learns():
    torch.manual_seed(0)
    net = CrossNetOpenUnmix(2, 1, num_bins=33, num_input_bins=None, hidden_size=16, layers=1)
    mixture = torch.rand(4, 1, 33, 12)
    wanted = torch.cat([mixture[:, :, :, :] > 0.5, mixture <= 0.5], dim=1).float()
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    losses = []
    for _ in range(60):
        loss = (net(mixture) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad.any() for parameter in net.parameters())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_bins": 33, "num_input_bins": 34}, "num_input_bins 34 must lie in 1..33"),
        ({"num_bins": 33, "num_input_bins": 0}, "num_input_bins 0 must lie"),
        ({"hidden_size": 7}, "hidden_size must be even"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        OpenUnmix(**options)


def test_another_number_of_bins_is_refused():
    net, _ = network()
    with pytest.raises(UsageError, match="made for 33 bins and was given 32"):
        net(torch.rand(1, 2, 32, 4))
