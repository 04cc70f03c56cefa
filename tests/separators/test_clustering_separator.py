"""The separator that clusters: its heads, its masks, and what becomes of mixtures with little in them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from soloist.errors import UsageError
from soloist.estimation import GaussianMixture, KMeans, SoftKMeans
from soloist.losses import (
    DeepClustering,
    PermutationInvariant,
    SpectrogramLoss,
    WaveformLoss,
    WeightedSum,
    WhitenedKMeans,
)
from soloist.metrics import si_sdr
from soloist.networks import RecurrentNetwork, SpectralNetwork
from soloist.separators import ClusteringSeparator, Following, Oracle
from soloist.transforms import STFT
from toy_embeddings import BINS, HOP, N_FFT, band_separator, band_talkers

ALL_TALK = ["xx", "xx", "xx"]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.1


class Fixed(SpectralNetwork):
    """A network whose answer is known."""

    def __init__(self, planes):
        super().__init__()
        self.planes = planes

    def forward(self, spectrogram):
        return self.planes


class Counting(KMeans):
    """K-means that counts how often it is asked."""

    calls = 0

    def fit(self, *arguments, **options):
        self.calls += 1
        return super().fit(*arguments, **options)


def separator(network, channels=1, **options):
    defaults = {
        "sources": ["a", "b"],
        "sample_rate": 8000,
        "channels": channels,
        "embedding_size": 4,
        "embedding_activation": ["unit"],
    }
    return ClusteringSeparator(STFT(N_FFT, HOP, "sqrt_hann", scaled=True), network, **defaults | options)


def recurrent(channels=1, masks=0, **options):
    network = RecurrentNetwork(channels, channels * (4 + masks), num_bins=BINS, hidden_size=8, layers=1)
    return separator(network, channels, **options)


@pytest.mark.parametrize("clusterer", [KMeans(), SoftKMeans(), GaussianMixture("spherical")])
@pytest.mark.parametrize("channels", [1, 2])
def test_ideal_embeddings_give_the_ideal_binary_mask(channels, clusterer):
    sources = noise(1, 3, channels, 8000) * torch.tensor([1.0, 0.7, 0.5])[:, None, None]
    mixture = sources.sum(dim=1)
    stft = STFT(N_FFT, HOP, "sqrt_hann", scaled=True)
    loudest = stft(sources.flatten(0, 1)).abs().unflatten(0, (1, 3)).argmax(dim=1)
    planes = F.one_hot(loudest, 4).movedim(-1, 2).flatten(1, 2).float()
    made = separator(Fixed(planes), channels, sources=["a", "b", "c"], hard=True, clusterer=clusterer)(
        mixture
    )
    expected = Oracle("ibm", stft)(mixture, sources)
    order = torch.einsum("s c t, u c t -> s u", expected[0], made[0]).argmax(dim=1)
    torch.testing.assert_close(made[:, order], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{}, {"hard": True}, {"normalization": "track"}])
def test_estimates_add_up_to_the_mixture(options):
    mixture = noise(2, 1, 5000)
    estimates = recurrent(**options).eval()(mixture)
    assert estimates.shape == (2, 2, 1, 5000)
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-5, rtol=0)


def test_a_hard_mask_is_zero_or_one():
    made = recurrent(hard=True).eval()
    mixed = made.transform(noise(1, 1, 4000))
    masks = made.finish(made.network(made.represent(mixed)), mixed) / mixed[:, None]
    assert set(masks.abs().round(decimals=4).unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("chain", "function"),
    [
        (["sigmoid", "unit"], lambda x: F.normalize(x.sigmoid(), dim=-1)),
        (["tanh"], torch.tanh),
        (["relu", "l1"], lambda x: x.relu() / x.relu().sum(dim=-1, keepdim=True).clamp(min=1e-12)),
        (["softmax"], lambda x: x.softmax(dim=-1)),
        ([], lambda x: x),
    ],
)
def test_embeddings_go_through_the_chain_in_the_order_of_channels(chain, function):
    planes = noise(2, 8, BINS, 126)
    made = separator(Fixed(planes), channels=2, embedding_activation=chain)
    embeddings = made.predict(noise(2, 2, 4000)).embeddings
    expected = torch.stack([planes[:, :4], planes[:, 4:]], dim=1).movedim(2, -1)
    torch.testing.assert_close(embeddings, function(expected))


@pytest.mark.parametrize(
    ("name", "function"),
    [("sigmoid", torch.sigmoid), ("relu", torch.relu), ("softmax", lambda x: x.softmax(dim=1))],
)
def test_masks_come_after_the_embeddings(name, function):
    planes = noise(1, 8 + 4, BINS, 126)
    made = separator(Fixed(planes), channels=2, mask_activation=name, inference="masks")
    mixture = noise(1, 2, 4000)
    prediction = made.predict(mixture)
    expected = function(planes[:, 8:].unflatten(1, (2, 2)))
    torch.testing.assert_close(prediction.masks, expected)
    mixed = made.transform(mixture)
    torch.testing.assert_close(prediction.coefficients, expected * mixed[:, None])
    torch.testing.assert_close(prediction.estimates, made(mixture))
    torch.testing.assert_close(made(mixture), made.synthesize(expected * mixed[:, None], 4000))


def test_training_needs_no_clusters():
    clusterer = Counting()
    chimera = recurrent(masks=2, mask_activation="sigmoid", clusterer=clusterer)
    mixture = noise(2, 1, 4000)
    references = torch.stack([mixture * 0.3, mixture * 0.7], dim=1)
    loss = WeightedSum([DeepClustering(), WhitenedKMeans(), PermutationInvariant(SpectrogramLoss())])
    loss(chimera.predict(mixture), references).mean().backward()
    assert clusterer.calls == 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in chimera.network.head.parameters())
    assert chimera.predict(mixture).estimates.shape == (2, 2, 1, 4000)
    assert clusterer.calls == 1


def test_a_loss_on_estimates_trains_through_the_posteriors():
    made = recurrent()
    mixture = noise(1, 1, 4000)
    references = torch.stack([mixture * 0.3, mixture * 0.7], dim=1)
    PermutationInvariant(WaveformLoss())(made.predict(mixture), references).mean().backward()
    assert made.network.head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("count_sources", [False, True])
@pytest.mark.parametrize("samples", [1, 50, 1600, 4001])
def test_any_length_is_separated(samples, count_sources):
    mixture = noise(1, 1, samples)
    estimates = recurrent(count_sources=count_sources).eval()(mixture)
    assert estimates.shape == (1, 2, 1, samples)
    torch.testing.assert_close(estimates.sum(dim=1), mixture, atol=1e-5, rtol=0)


def test_silence_is_silent_beside_what_sounds():
    made = band_separator()
    talkers = band_talkers(ALL_TALK)
    mixture = torch.stack([talkers.sum(dim=0), torch.zeros(talkers.shape[1])])[:, None]
    estimates = made(mixture)
    assert not estimates[1].any()
    assert torch.equal(estimates[0], made(mixture[:1])[0])


def test_more_sources_than_points_leaves_the_others_silent():
    impulse = torch.zeros(1, 1, 64)
    impulse[..., 32] = 1.0
    made = separator(Fixed(torch.ones(1, 4, BINS, 5)), sources=["a", "b", "c"])
    energies = made(impulse).square().sum(dim=(2, 3))[0].sort().values
    assert energies[:2].tolist() == [0.0, 0.0]
    torch.testing.assert_close(energies[2], torch.tensor(1.0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_number_of_talkers_is_found_out(number):
    talkers = band_talkers(ALL_TALK[:number] + [".."] * (3 - number))
    estimates = band_separator(count_sources=True, spread=0.2)(talkers.sum(dim=0)[None, None])
    assert (estimates.square().sum(dim=(2, 3)) > 0).sum() == number


def test_one_talker_alone_is_not_halved_when_talkers_are_counted():
    talker = band_talkers(["xx", "..", ".."])[:1]
    estimates = band_separator(count_sources=True)(talker[None])
    best = si_sdr(talker[None, None].expand(1, 3, 1, -1), estimates).nan_to_num(-99).max()
    assert best > 60
    assert (estimates.square().sum(dim=(2, 3)) > 0).sum() == 1


def test_channels_are_clustered_together():
    talkers = band_talkers(ALL_TALK)
    sides = torch.stack([talkers[0] + talkers[1], talkers[1] + talkers[2]])
    estimates = band_separator(channels=2)(sides[None])[0]
    heard = estimates.square().sum(dim=-1) > 1e-2 * sides.square().sum(dim=-1)
    assert sorted(heard.tolist()) == [[False, True], [True, False], [True, True]]


def test_follows_where_clusters_separate():
    assert isinstance(recurrent(), Following)
    assert recurrent().follow() is not None
    assert recurrent(masks=2, mask_activation="relu", inference="masks").follow() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding_activation": ["unit_norm"]}, "unit_norm"),
        ({"mask_activation": "tanh"}, "tanh"),
        ({"inference": "masks"}, "mask_activation"),
        ({"percentile": 101.0}, "percentile"),
        ({"embedding_size": 0}, "embedding_size"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        recurrent(**options)


def test_a_network_of_other_planes_is_refused():
    with pytest.raises(UsageError, match="12 planes"):
        recurrent(masks=8).eval()(noise(1, 1, 4000))
