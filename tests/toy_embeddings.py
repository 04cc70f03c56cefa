"""Networks whose embeddings are known, and talkers who have a band of frequencies each."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from soloist.networks import SpectralNetwork
from soloist.separators import ClusteringSeparator
from soloist.transforms import STFT

SAMPLE_RATE = 8000
N_FFT, HOP = 128, 32
BINS = N_FFT // 2 + 1


class BandNetwork(SpectralNetwork):
    """Points of each of several bands lie around a direction of their own, by as much as their level says."""

    def __init__(self, bands: int = 3, channels: int = 1, spread: float = 0.02) -> None:
        super().__init__()
        self.channels, self.spread = channels, spread
        band = torch.arange(BINS) * bands // BINS
        self.register_buffer("directions", torch.nn.functional.one_hot(band, bands).float().mT)

    @property
    def receptive_field(self) -> int:
        return 0

    def forward(self, spectrogram: Tensor) -> Tensor:
        wobble = self.spread * torch.sin(3 * spectrogram)[:, :, None]
        embeddings = self.directions[None, None, :, :, None] + wobble
        return embeddings.flatten(1, 2)


def band_separator(bands: int = 3, channels: int = 1, **options) -> ClusteringSeparator:
    """A separator of talkers who have a band each."""
    chunk_frames = options.pop("chunk_frames", 126)
    spread = options.pop("spread", 0.02)
    return ClusteringSeparator(
        STFT(N_FFT, HOP, "sqrt_hann", scaled=True),
        BandNetwork(bands, channels, spread),
        sources=[f"talker{index + 1}" for index in range(bands)],
        sample_rate=SAMPLE_RATE,
        channels=channels,
        embedding_size=bands,
        embedding_activation=["unit"],
        chunk_frames=chunk_frames,
        **options,
    ).eval()


def band_talkers(activity: list[str], seconds: float = 0.5, seed: int = 0) -> Tensor:
    """Noise `(talkers, samples)` in a band for each talker, who is heard in sections that have an "x"."""
    samples = round(len(activity[0]) * seconds * SAMPLE_RATE)
    noise = torch.randn(len(activity), samples, generator=torch.Generator().manual_seed(seed))
    spectra = torch.fft.rfft(noise)
    edges = torch.linspace(0, spectra.shape[-1], len(activity) + 1).round().int().tolist()
    # Apart by two bins of the network's spectrogram.
    guard = 2 * spectra.shape[-1] // BINS
    for index, (low, high) in enumerate(pairwise(edges)):
        spectra[index, : low + guard] = 0
        spectra[index, high - guard :] = 0
    heard = torch.tensor([[section == "x" for section in row] for row in activity])
    return torch.fft.irfft(spectra, samples) * heard.repeat_interleave(samples // heard.shape[1], dim=1)
