"""Sources as clusters of points with the same difference between two channels."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.estimation import Clusterer, Fit, KMeans, loudest
from soloist.separators.training_free.stereo import Cues, StereoSeparator
from soloist.transforms import Window

_LEVEL = 6.0
"""Difference of level, dB, with the weight of the largest delay."""
_LARGEST_LEVEL = 30.0
"""Largest difference of level, dB; larger ones are clipped."""


class SpatialClustering(StereoSeparator):
    """Clusters the points of a stereo spectrogram by their differences of level and phase [1].

    If few sources sound at the same time and frequency, the points of a source have similar relative levels
    and delays. The loudest points define the clusters; the masks are the posteriors of all points. The
    estimates add up to the mixture. Clusters with too few points are silent.

    Each chunk of a file has clusters of its own, matched to the chunk before.

    Args:
        num_sources: Number of sources.
        sample_rate: Rate of the mixture, Hz.
        channels: Channels of the mixture: two.
        n_fft: Length of the window, samples; None for the power of two nearest to 64 ms.
        hop_length: Distance of the frames, samples; None for a quarter of the window.
        window: Name of the window.
        clusterer: Clustering algorithm; None for k-means.
        percentile: Percentile of loudness below which points do not define the clusters.
        max_delay: Largest delay between the channels, samples. Frequencies at which that is more than half a
            period have ambiguous phases and do not define clusters; each cluster then assumes the delay of a
            point nearest to its own.

    References:
        [1] S. Araki, H. Sawada, R. Mukai and S. Makino, "Underdetermined blind sparse source separation for
        arbitrarily arranged multiple sensors", Signal Processing 87(8), 2007.
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
        clusterer: Clusterer | None = None,
        percentile: float = 90.0,
        max_delay: float = 1.0,
    ) -> None:
        super().__init__(
            num_sources,
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft,
            hop_length=hop_length,
            window=window,
        )
        if not 0 <= percentile < 100 or not 0 < max_delay <= self.stft.n_fft / 2:
            raise UsageError(
                f"spatial clustering needs a percentile in 0..100, and a max_delay above 0 and at most half "
                f"a window, {self.stft.n_fft // 2} samples"
            )
        self.clusterer = clusterer or KMeans()
        self.percentile = percentile
        self.max_delay = max_delay

    def spectrum_masks(self, spectrum: Tensor) -> Tensor:
        """Masks `(batch, sources, 1, frequency, frames)`, the posteriors; see `MaskSeparator`."""
        frequencies = self.angular_frequencies(spectrum)
        cues = Cues.of(spectrum, frequencies)
        levels = (20 * cues.attenuation.log10()).clamp(-_LARGEST_LEVEL, _LARGEST_LEVEL) / _LEVEL
        points = torch.stack([levels, (cues.delay / self.max_delay).clamp(-1, 1)], dim=-1)
        unambiguous = ((frequencies > 0) & (frequencies * self.max_delay <= torch.pi))[:, 0]
        power = spectrum.abs().square().sum(dim=1)
        counted = torch.zeros_like(power, dtype=torch.bool)
        loud = loudest(power[:, unambiguous].flatten(1), self.percentile)
        counted[:, unambiguous] = loud.unflatten(1, (-1, power.shape[2]))
        fit = self.clusterer.fit(points.flatten(1, 2), counted.flatten(1), len(self.sources))
        periods = 2 * torch.pi / (frequencies.clamp(min=frequencies[1]) * self.max_delay)
        return self._posteriors(fit, points, periods)[:, :, None]

    def _posteriors(self, fit: Fit, points: Tensor, periods: Tensor) -> Tensor:
        """Posteriors `(batch, sources, frequency, frames)` of points `(batch, frequency, frames, 2)`."""
        levels, delays = points.unbind(-1)
        scores = []
        for index in range(len(self.sources)):
            turns = ((fit.centres[:, index, 1, None, None] - delays) / periods).round()
            nearest = torch.stack([levels, delays + turns * periods], dim=-1)
            scores.append(fit.scores(nearest.flatten(1, 2))[:, index])
        used = fit.used.clone()
        # Without any cluster, there is one source.
        used[:, 0] |= ~used.any(dim=1)
        known = torch.stack(scores, dim=1).nan_to_num(0.0).masked_fill(~used[:, :, None], -torch.inf)
        return known.softmax(dim=1).unflatten(2, levels.shape[1:])
