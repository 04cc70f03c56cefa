"""What other engines run of a separator, and what stands around it."""

import pytest
import torch

from soloist.networks import Autoencoder, OpenUnmix
from soloist.separators import HPSS, Separator, SliCQSeparator, SpectralSeparator, sudormrf_design
from soloist.transforms import STFT, SliCQ


def sudormrf() -> Separator:
    sizes = {"num_filters": 16, "channels": 8, "hidden_channels": 16, "num_blocks": 1, "depth": 3}
    return sudormrf_design("groupcomm", sizes | {"num_groups": 2}).build()


def open_unmix() -> Separator:
    network = OpenUnmix(2, 1, num_bins=33, num_input_bins=None, hidden_size=8, layers=1)
    return SpectralSeparator(
        STFT(64, 16),
        network,
        sources=["a", "b"],
        sample_rate=8000,
        channels=1,
        representation="magnitude",
        mode="masking",
    )


def slicq() -> Separator:
    transform = SliCQ("bark", 24, 80.0, sample_rate=8000)
    return SliCQSeparator(
        transform, Autoencoder((2, 3)), sources=["a", "b"], sample_rate=8000, channels=1, bandwidth=2000.0
    )


@pytest.mark.parametrize("make", [sudormrf, open_unmix, slicq])
@pytest.mark.parametrize("samples", [1, 3001])
def test_a_graph_and_what_is_around_it_make_the_estimates(make, samples):
    separator = make().eval()
    mixture = torch.randn(2, 1, samples)
    with torch.no_grad():
        inputs, finish = separator.stage(mixture)
        assert all(not part.is_complex() for part in inputs)
        outputs = separator.graph(*inputs)
        estimates = finish([outputs] if isinstance(outputs, torch.Tensor) else outputs)
        torch.testing.assert_close(estimates, separator.estimate(mixture), rtol=0, atol=1e-6)


def test_a_separator_without_a_network_has_no_graph():
    assert HPSS(sample_rate=8000, channels=1).graph is None
