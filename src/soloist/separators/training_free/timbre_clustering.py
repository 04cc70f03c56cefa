"""Sources as clusters of spectral templates of the same timbre."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.estimation import Clusterer, KMeans
from soloist.networks.layers.mel import mel_filters
from soloist.separators.training_free.mask_separator import MaskSeparator, frame_length, numbered_sources
from soloist.separators.training_free.nmf import factorize
from soloist.transforms import Window

_MELS = 40
_SOFTEST = 1e-2
"""Least level of a mel band, relative to the loudest band of the template; lower ones are clipped."""


class TimbreClustering(MaskSeparator):
    """Factorises a spectrogram into templates; templates of similar timbre are one source [1].

    Each template of the factorisation is a note or a stroke. Mel-frequency cepstral coefficients describe
    the shape of the spectrum, whatever the pitch; their clusters are the sources. The mask of a source is its
    share of the model, the same for all channels. The estimates add up to the mixture.

    Each chunk of a file has templates and clusters of its own; the sources are matched to the chunk before.
    Clusters rather separate drums from tones than one singer from another.

    Args:
        num_sources: Number of sources.
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture.
        n_fft: Length of the window, samples; None for the power of two nearest to 46 ms.
        hop_length: Distance of the frames, samples; None for half the window.
        window: Name of the window.
        components: Number of templates.
        coefficients: Number of cepstral coefficients of a template, without the loudness.
        clusterer: Clustering algorithm; None for k-means.
        iterations: Updates of the factorisation.
        beta: Minimised divergence: 2 is the squared distance, 1 Kullback and Leibler's, 0 Itakura and
            Saito's.
        seed: Seed of the initial factors.

    References:
        [1] M. Spiertz and V. Gnann, "Source-filter based clustering for monaural blind source separation",
        DAFx 2009.
    """

    def __init__(
        self,
        num_sources: int = 2,
        *,
        sample_rate: int = 44100,
        channels: int = 2,
        n_fft: int | None = None,
        hop_length: int | None = None,
        window: Window = "sqrt_hann",
        components: int = 50,
        coefficients: int = 13,
        clusterer: Clusterer | None = None,
        iterations: int = 100,
        beta: float = 1.0,
        seed: int = 0,
    ) -> None:
        n_fft = n_fft or frame_length(sample_rate, 0.046)
        super().__init__(
            sources=numbered_sources(num_sources),
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft,
            hop_length=hop_length or n_fft // 2,
            window=window,
            ordered=False,
        )
        if components < num_sources or iterations < 1 or not 0 < coefficients < _MELS:
            raise UsageError(
                f"timbre clustering needs a component for each of the {num_sources} sources, an iteration, "
                f"and coefficients in 1..{_MELS - 1}"
            )
        self.components = components
        self.clusterer = clusterer or KMeans()
        self.iterations = iterations
        self.beta = beta
        self.seed = seed
        filters = mel_filters(self.stft.num_bins, _MELS, sample_rate)
        self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)
        self.register_buffer("cosines", _cosines(coefficients, _MELS), persistent=False)

    filters: Tensor
    cosines: Tensor

    @property
    def chunk_length(self) -> int:
        """Half a minute: long enough to hear each source."""
        return 30 * self.sample_rate

    def masks(self, magnitudes: Tensor) -> Tensor:
        """Masks `(batch, sources, 1, frequency, frames)` with sum one; see `MaskSeparator`."""
        templates, activations = factorize(
            magnitudes.mean(dim=1),
            self.components,
            iterations=self.iterations,
            beta=self.beta,
            seed=self.seed,
        )
        belonging = self._cluster(templates)
        weighted = templates[:, None] * belonging.mT[:, :, None]
        models = weighted @ activations[:, None]
        total = models.sum(dim=1, keepdim=True)
        masks = torch.where(total > 0, models / total.masked_fill(total <= 0, 1), 1 / len(self.sources))
        return masks[:, :, None]

    def cepstra(self, templates: Tensor) -> Tensor:
        """Cepstral coefficients `(batch, components, coefficients)` of `(batch, frequency, components)`."""
        bands = (self.filters @ templates).mT
        loudest = bands.amax(dim=-1, keepdim=True)
        levels = (bands / loudest.masked_fill(loudest == 0, 1)).clamp(min=_SOFTEST).log()
        return levels @ self.cosines

    def _cluster(self, templates: Tensor) -> Tensor:
        """Share of each source in each component, `(batch, components, sources)`."""
        points = self.cepstra(templates)
        spread = points.std(dim=1, keepdim=True, correction=0).square().sum(dim=2, keepdim=True).sqrt()
        points = points / spread.masked_fill(spread == 0, 1)
        counted = templates.sum(dim=1) > 0
        return self.clusterer.fit(points, counted, len(self.sources)).posteriors(points)


def _cosines(coefficients: int, bands: int) -> Tensor:
    """Discrete cosine transform `(bands, coefficients)` without the constant function."""
    orders = torch.arange(1, coefficients + 1)
    places = torch.arange(bands)[:, None] + 0.5
    return (torch.pi / bands * orders * places).cos() * math.sqrt(2 / bands)
