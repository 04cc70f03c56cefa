"""How far separators see ahead: by the gradient of one output sample."""

from __future__ import annotations

import pytest
import torch

from soloist.networks import CausalSuDoRMRF, ConvTasNet, DualPathRNN, RecurrentNetwork, SuDoRMRF, TasNet
from soloist.separators import HPSS, ClusteringSeparator, FilterbankSeparator, SpectralSeparator
from soloist.transforms import STFT, LearnedFilterbank

SAMPLES, CENTRE = 4800, 2400
SIZES = {"num_filters": 8, "channels": 4, "hidden_channels": 6}


def filterbank(network, *, causal=False, **options):
    bank = LearnedFilterbank(8, 21, causal=causal)
    return FilterbankSeparator(bank, network, normalization="none", **options)


def recurrent(*, bidirectional=False, normalization="batch"):
    network = RecurrentNetwork(
        1, 2, num_bins=33, hidden_size=8, layers=1, bidirectional=bidirectional, normalization=normalization
    )
    return SpectralSeparator(
        STFT(64, 32),
        network,
        sources=["a", "b"],
        sample_rate=8000,
        channels=1,
        representation="magnitude",
        mode="masking",
    )


BOUNDED = {
    "causal SuDoRM-RF": lambda: filterbank(
        CausalSuDoRMRF(**SIZES, num_blocks=2, depth=3, kernel_size=5), mode="mapping"
    ),
    "causal filters": lambda: filterbank(
        CausalSuDoRMRF(**SIZES, num_blocks=1, depth=2, kernel_size=5), causal=True
    ),
    "Conv-TasNet": lambda: filterbank(
        ConvTasNet(**SIZES, skip_channels=4, num_blocks=2, num_repeats=1, causal=True)
    ),
    "TasNet": lambda: filterbank(TasNet(8, 6, bidirectional=False)),
    "dual-path": lambda: filterbank(DualPathRNN(8, 4, 6, num_blocks=2, chunk_size=10, causal=True)),
    "recurrent": recurrent,
}


def ahead(separator) -> int:
    """Samples after the centre that any of the estimates at the centre, or just before it, depends on."""
    torch.manual_seed(0)
    mixture = torch.randn(1, 1, SAMPLES, requires_grad=True)
    furthest = 0
    estimates = separator(mixture)
    for sample in range(CENTRE - 40, CENTRE):
        (gradient,) = torch.autograd.grad(estimates[..., sample].square().sum(), mixture, retain_graph=True)
        furthest = max(furthest, int(gradient[0, 0].nonzero().max()) - sample)
    return furthest


@pytest.mark.parametrize("name", BOUNDED)
def test_nothing_further_ahead_is_heard(name):
    torch.manual_seed(1)
    separator = BOUNDED[name]().eval()
    with torch.no_grad():
        for parameter in separator.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    seen = ahead(separator)
    # The bound is that of the worst sample: it is not far from what is seen.
    assert seen <= separator.lookahead <= 2 * seen + 32


def test_separators_that_hear_everything_first_have_no_bound():
    separators = [
        filterbank(SuDoRMRF(**SIZES, num_blocks=1, depth=2)),
        filterbank(CausalSuDoRMRF(**SIZES, num_blocks=1, depth=2), mode="mapping", consistency="magsq"),
        filterbank(ConvTasNet(**SIZES, skip_channels=4, num_blocks=2, num_repeats=1)),
        filterbank(TasNet(8, 6)),
        filterbank(DualPathRNN(8, 4, 6, num_blocks=1, chunk_size=10)),
        recurrent(bidirectional=True),
        recurrent(normalization="instance"),
    ]
    assert [separator.lookahead for separator in separators] == [None] * len(separators)


def test_a_bounded_field_is_seen_in_both_directions():
    separator = HPSS(sample_rate=8000, channels=1)
    assert separator.lookahead == separator.receptive_field > 0


@pytest.mark.parametrize(("inference", "bounded"), [("clusters", False), ("masks", True)])
def test_clusters_are_found_among_all_points(inference, bounded):
    network = RecurrentNetwork(1, 6, num_bins=33, hidden_size=8, layers=1, bidirectional=False)
    separator = ClusteringSeparator(
        STFT(64, 32),
        network,
        sources=["a", "b"],
        sample_rate=8000,
        embedding_size=4,
        mask_activation="sigmoid",
        inference=inference,
    )
    assert (separator.lookahead is not None) == bounded
