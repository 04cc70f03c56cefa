"""Networks for filterbanks, on spectrograms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soloist.losses import SISDR, PermutationInvariant
from soloist.networks import BinsAsFilters, ConvTasNet, DualPathRNN, MaskNetwork, SuDoRMRF, TasNet
from soloist.separators import SpectralSeparator
from soloist.transforms import STFT

PLANES = {"magnitude": 2, "decibels": 2, "complex": 4}
BINS = 9
NETWORKS = {
    "conv-tasnet": lambda filters: ConvTasNet(filters, 4, 6, 4, num_blocks=2, num_repeats=1, num_outputs=3),
    "dual-path": lambda filters: DualPathRNN(filters, 4, 3, num_blocks=1, chunk_size=8, num_outputs=3),
    "tasnet": lambda filters: TasNet(filters, 4, layers=2, num_outputs=3),
    "sudormrf": lambda filters: SuDoRMRF(filters, 4, 6, num_blocks=1, depth=3, num_outputs=3),
}


class Shares(MaskNetwork):
    """Masks of ones for the first source and zeros for the second, on multiples of four frames."""

    frame_multiple = 4

    def forward(self, features):
        """Masks of ones and of zeros."""
        assert features.shape[-1] % self.frame_multiple == 0
        return torch.stack([torch.ones_like(features), torch.zeros_like(features)], dim=1)


def _separator(network: MaskNetwork, representation: str, sources=("a", "b", "c")) -> SpectralSeparator:
    return SpectralSeparator(
        STFT(16, 4),
        BinsAsFilters(network),
        sources=sources,
        sample_rate=8000,
        channels=2,
        ordered=False,
        representation=representation,
        mode="masking",
    )


@pytest.mark.parametrize("representation", PLANES)
@given(samples=st.integers(1, 100))
def test_masks_of_one_give_the_mixture_to_the_first_source(representation, samples):
    separator, mixture = _separator(Shares(), representation, ("a", "b")), torch.randn(2, 2, samples)
    estimates = separator(mixture)
    assert torch.allclose(estimates[:, 0], mixture, atol=1e-5)
    assert not estimates[:, 1].any()
    assert separator.stride == 16


@pytest.mark.parametrize("representation", PLANES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_on_spectrograms(name, representation):
    torch.manual_seed(0)
    separator = _separator(NETWORKS[name](PLANES[representation] * BINS), representation)
    references = torch.randn(2, 3, 2, 101)
    optimizer = torch.optim.Adam(separator.parameters(), lr=0.01)
    loss, values = PermutationInvariant(SISDR()), []
    for _ in range(8):
        optimizer.zero_grad()
        value = loss(separator.predict(references.sum(dim=1)), references).mean()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0]
    assert not separator.ordered


def test_bins_and_planes_keep_their_places():
    class Numbers(MaskNetwork):
        def forward(self, features):
            return torch.stack([features, 10 * features], dim=1)

    spectrogram = torch.randn(2, 3, 5, 7)
    planes = BinsAsFilters(Numbers())(spectrogram)
    assert torch.equal(planes, torch.cat([spectrogram, 10 * spectrogram], dim=1))
