"""Ensemble of separators: clusters of the points that most separators judge alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.errors import UsageError
from soloist.estimation import Clusterer, KMeans, Start, loudest
from soloist.separators.separator import Separator
from soloist.separators.training_free.ft2d import FT2D
from soloist.separators.training_free.mask_separator import MaskSeparator, frame_length
from soloist.separators.training_free.repet import Repet
from soloist.separators.training_free.repet_sim import RepetSim
from soloist.separators.training_free.two_stage_hpss import TwoStageHPSS
from soloist.transforms import Window


class EnsembleClustering(MaskSeparator):
    """Clusters the points of a spectrogram by the masks of several separators [1, 2].

    Each separator gives each point one mask a source. All masks together are the coordinates of the point;
    the sources of the ensemble are clusters of points, and the posteriors are the masks. A cue counts if it
    agrees with others; an uninformative cue spreads the points less than an informative one.

    If all separators have the same sources, the ensemble has these too: clusters begin at points that all
    separators give to one source. Otherwise the clusters are sources in no particular order.

    Each chunk of a file has clusters of its own.

    Args:
        separators: The separators; None for four cues of voice and accompaniment (two-stage HPSS, REPET,
            REPET-SIM, 2DFT).
        sources: Names of the sources; None for the common sources of all separators.
        sample_rate: Rate of the mixture, Hz, and of the separators.
        channels: Channels of the mixture and of the separators; each channel is separated by itself.
        n_fft: Length of the window, samples; None for the power of two nearest to 46 ms.
        hop_length: Distance of the frames, samples; None for half the window.
        window: Name of the window.
        weights: Weight of each separator; None for equal weights.
        clusterer: Clustering algorithm; None for k-means, from the points of agreement if there are any.
        percentile: Percentile of loudness below which points do not define the clusters.

    Raises:
        UsageError: The separators do not fit the ensemble, or its sources cannot be named.

    References:
        [1] E. Manilow, P. Seetharaman, F. Pishdadian and B. Pardo, "Predicting algorithm efficacy for
        adaptive multi-cue source separation", WASPAA 2017.
        [2] P. Seetharaman, "Bootstrapping the learning process for computer audition", dissertation,
        Northwestern University, 2019.
    """

    def __init__(
        self,
        separators: Sequence[Separator] | None = None,
        *,
        sources: Sequence[str] | None = None,
        sample_rate: int = 44100,
        channels: int = 2,
        n_fft: int | None = None,
        hop_length: int | None = None,
        window: Window = "sqrt_hann",
        weights: Sequence[float] | None = None,
        clusterer: Clusterer | None = None,
        percentile: float = 98.0,
    ) -> None:
        if separators is None:
            cues = (TwoStageHPSS, Repet, RepetSim, FT2D)
            separators = [cue(sample_rate=sample_rate, channels=channels) for cue in cues]
        _check(separators, sample_rate, channels)
        shared = {separator.sources for separator in separators}
        if sources is None and len(shared) > 1:
            raise UsageError("these separators have different sources: name those of the ensemble")
        self.shared = sources is None or shared == {tuple(sources)}
        n_fft = n_fft or frame_length(sample_rate, 0.046)
        super().__init__(
            sources=sources or next(iter(shared)),
            sample_rate=sample_rate,
            channels=channels,
            n_fft=n_fft,
            hop_length=hop_length or n_fft // 2,
            window=window,
            ordered=self.shared,
        )
        self.separators = nn.ModuleList(separators)
        scales = torch.ones(len(separators)) if weights is None else torch.tensor(weights).float()
        if scales.shape != (len(separators),) or scales.min() < 0 or not 0 <= percentile < 100:
            raise UsageError(
                f"an ensemble needs a weight for each of its {len(separators)} separators, none of them "
                f"negative, and a percentile in 0..100"
            )
        self.scales = scales
        self.clusterer = clusterer or KMeans(exponent=3.0, restarts=0 if self.shared else 10)
        self.percentile = percentile

    @property
    def chunk_length(self) -> int:
        """Longest best length of all separators."""
        return max(separator.chunk_length for separator in self.members)

    @property
    def minimum_length(self) -> int:
        """Largest minimum length of all separators."""
        return max(separator.minimum_length for separator in self.members)

    @property
    def members(self) -> list[Separator]:
        """The separators."""
        return [separator for separator in self.separators if isinstance(separator, Separator)]

    def estimate(self, mixture: Tensor) -> Tensor:
        """Separate a mixture `(batch, channels, samples)` into `(batch, sources, channels, samples)`."""
        spectrum = self.stft(mixture)
        masks = torch.cat(
            [
                scale * self.cue(separator, mixture)
                for scale, separator in zip(self.scales, self.members, strict=True)
            ],
            dim=1,
        )
        points = rearrange(masks, "b d c f t -> b (c f t) d")
        loud = loudest(spectrum.abs().flatten(1), self.percentile)
        start = self._start(points) if self.shared else None
        fit = self.clusterer.fit(points, loud, len(self.sources), start)
        shares = rearrange(fit.posteriors(points), "b n s -> b s n").unflatten(2, spectrum.shape[1:])
        return self.synthesize((spectrum * share for share in shares.unbind(1)), mixture.shape[-1])

    def cue(self, separator: Separator, mixture: Tensor) -> Tensor:
        """Masks `(batch, sources, channels, frequency, frames)` of one separator, with sum one.

        Args:
            separator: Separator of the ensemble.
            mixture: `(batch, channels, samples)`.
        """
        estimates = separator(mixture)
        sources = estimates.shape[1]
        spectra = self.stft(rearrange(estimates, "b s c t -> b (s c) t")).abs()
        spectra = rearrange(spectra, "b (s c) f t -> b s c f t", s=sources)
        total = spectra.sum(dim=1, keepdim=True)
        return torch.where(total > 0, spectra / total.masked_fill(total == 0, 1), 1 / sources)

    def _start(self, points: Tensor) -> Start:
        """Initial clusters at the points of agreement of all separators."""
        agreed = torch.eye(len(self.sources)).repeat(1, len(self.scales))
        centres = agreed * self.scales.repeat_interleave(len(self.sources))
        return Start.at(centres.to(points).expand(len(points), -1, -1))


def _check(separators: Sequence[Separator], sample_rate: int, channels: int) -> None:
    if not separators:
        raise UsageError("an ensemble needs at least one separator")
    for separator in separators:
        if (separator.sample_rate, separator.channels) != (sample_rate, channels):
            raise UsageError(
                f"{type(separator).__name__} works at {separator.sample_rate} Hz on {separator.channels} "
                f"channels, its ensemble at {sample_rate} Hz on {channels}: give both the same"
            )
        if not separator.ordered:
            raise UsageError(
                f"the sources of {type(separator).__name__} have no order, so that their masks say nothing"
            )
