r"""Separators by clusters of embeddings: neighbouring points of a spectrogram are one source.

    transform -> network -> embeddings -> clusters -> masks -> inverse
                        \-> masks (chimera networks)

[1] J. R. Hershey, Z. Chen, J. Le Roux and S. Watanabe, "Deep clustering: Discriminative embeddings for
    segmentation and separation", ICASSP 2016.
[2] Y. Luo, Z. Chen, J. R. Hershey, J. Le Roux and N. Mesgarani, "Deep clustering and conventional networks
    for music separation: Stronger together", ICASSP 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor

from soloist.errors import UsageError
from soloist.estimation import Clusterer, ClusterMemory, Fit, KMeans, Start, loudest, measure_confidence
from soloist.estimation.clustering.cluster_gaps import fit_some
from soloist.losses import Prediction
from soloist.networks import SpectralNetwork
from soloist.networks.layers.convolutions import EMBEDDING_ACTIVATIONS, EmbeddingActivation
from soloist.separators.separator import Finish, Normalization, Note
from soloist.separators.spectral_separator import Representation, SpectralSeparator
from soloist.transforms import SpectralTransform

MaskActivation = Literal["sigmoid", "softmax", "relu"]
"""Activation of the masks; "softmax" is over the sources: masks add up to one."""


class ClusteringSeparator(SpectralSeparator):
    """Gives each point of a spectrogram to the cluster of its embedding.

    The clusters are those of the loudest points of all channels; all points are then shared among the
    clusters. Training needs no clusters, unless a loss asks for estimates.

    Args:
        transform: Analysis and synthesis, exact.
        network: Maps the represented mixture to planes `(batch, planes, frequency, frames)`: first
            `channels * embedding_size` of embeddings, channel by channel; then, if there is a
            `mask_activation`, `sources * channels` of masks, source by source.
        sources: Names of the sources.
        sample_rate: Sample rate of the network, Hz.
        embedding_size: Dimensions of an embedding.
        channels: Channels of the mixture and of each estimate.
        clusterer: Clustering algorithm; None for k-means.
        embedding_activation: Activations of the embeddings, in order.
        mask_activation: Activation of the masks; None for a network without masks (deep clustering).
        inference: Separate by the clusters, or by the network's masks.
        percentile: Percentile of loudness from which points define the clusters.
        hard: Give each point to one source alone.
        count_sources: Estimate the number of sources of each item; missing sources are silent.
        representation: Input of the network; see `SpectralSeparator`.
        chunk_frames: Best length of a chunk, frames.
        normalization: Normalisation of the audio; see `Separator`.
        ordered: True if the order of the sources is fixed; False for clusters.

    Raises:
        UsageError: A value is out of range.
    """

    def __init__(
        self,
        transform: SpectralTransform,
        network: SpectralNetwork,
        *,
        sources: Sequence[str],
        sample_rate: int,
        embedding_size: int,
        channels: int = 1,
        clusterer: Clusterer | None = None,
        embedding_activation: Sequence[EmbeddingActivation] = ("sigmoid", "unit"),
        mask_activation: MaskActivation | None = None,
        inference: Literal["clusters", "masks"] = "clusters",
        percentile: float = 90.0,
        hard: bool = False,
        count_sources: bool = False,
        representation: Representation = "decibels",
        chunk_frames: int = 1250,
        normalization: Normalization = "none",
        ordered: bool = False,
    ) -> None:
        super().__init__(
            transform,
            network,
            sources=sources,
            sample_rate=sample_rate,
            channels=channels,
            representation=representation,
            mode="masking",
            chunk_frames=chunk_frames,
            normalization=normalization,
        )
        self.ordered = ordered
        self.embedding_size = embedding_size
        self.embedding_activation = tuple(embedding_activation)
        self.mask_activation: MaskActivation | None = mask_activation
        self.inference = inference
        self.clusterer = clusterer or KMeans()
        self.percentile = percentile
        self.hard = hard
        self.count_sources = count_sources
        self._check_options()

    def _check_options(self) -> None:
        if not self.transform.exact:
            raise UsageError(f"{type(self.transform).__name__} has no inverse to cluster its points for")
        unknown = [name for name in self.embedding_activation if name not in EMBEDDING_ACTIVATIONS]
        if unknown:
            raise UsageError(
                f"embedding_activation {unknown[0]!r} is none of {', '.join(EMBEDDING_ACTIVATIONS)}"
            )
        if self.mask_activation not in (None, *get_args(MaskActivation)):
            known = ", ".join(get_args(MaskActivation))
            raise UsageError(f"mask_activation {self.mask_activation!r} is none of {known}")
        if self.inference == "masks" and self.mask_activation is None:
            raise UsageError("inference by masks needs a network that has them: say its mask_activation")
        if not 0 <= self.percentile <= 100 or self.embedding_size < 1:
            raise UsageError(
                f"percentile {self.percentile:g} must lie in 0..100 and embedding_size "
                f"{self.embedding_size} be at least 1"
            )

    def _in_samples(self, frames: int | None, around: int) -> int | None:
        # Clusters depend on the whole input.
        return None if self.inference == "clusters" else super()._in_samples(frames, around)

    def predict(self, mixture: Tensor) -> Prediction:
        """Prediction for a mixture `(batch, channels, samples)`, as losses take it.

        Masks and coefficients are given if the network has masks. The estimates are those of `inference`,
        clustered when a loss first asks for them.
        """
        mixed, level = self.analyze(mixture)
        output = self.run_network(self.network, self.represent(mixed))[0]
        embeddings, masks = self.split_heads(output, mixed)
        made = None if masks is None else self.restore(masks * mixed[:, None], mixture, level)

        def synthesize() -> Tensor:
            estimates = made
            if estimates is None or self.inference == "clusters":
                shares = self.share_points(self.find_clusters(*self.points(embeddings, mixed)), embeddings)
                estimates = self.restore(shares * mixed[:, None], mixture, level)
            return self.synthesize(estimates, mixture.shape[-1])

        return Prediction(
            mixture, synthesize, analyze=self.transform, coefficients=made, masks=masks, embeddings=embeddings
        )

    def finish(self, output: Tensor, coefficients: Tensor) -> Tensor:
        """Estimates of the sources' coefficients.

        Args:
            output: Output of the network, `(batch, planes, frequency, frames)`.
            coefficients: Mixture, complex `(batch, channels, frequency, frames)`.

        Returns:
            Complex `(batch, sources, channels, frequency, frames)`.
        """
        embeddings, masks = self.split_heads(output, coefficients)
        if masks is None or self.inference == "clusters":
            masks = self.share_points(self.find_clusters(*self.points(embeddings, coefficients)), embeddings)
        return masks * coefficients[:, None]

    def follow(self, note: Note | None = None) -> ClusterFollower | None:
        """Make a follower for one recording; None if the network's masks separate."""
        return ClusterFollower(self, note) if self.inference == "clusters" else None

    def split_heads(self, output: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor | None]:
        """Embeddings and masks from the network's planes.

        Args:
            output: `(batch, planes, frequency, frames)`.
            coefficients: Mixture, complex `(batch, channels, frequency, frames)`.

        Returns:
            Embeddings `(batch, channels, frequency, frames, dimensions)`, and masks `(batch, sources,
            channels, frequency, frames)`, if there are any.

        Raises:
            UsageError: The network has another number of planes.
        """
        planes = output.to(coefficients.real.dtype)
        first = self.channels * self.embedding_size
        others = 0 if self.mask_activation is None else len(self.sources) * self.channels
        if planes.shape[1] != first + others:
            raise UsageError(
                f"the network has {planes.shape[1]} planes, but {self.channels} channels of "
                f"{self.embedding_size} dimensions and {others} masks need {first + others}: set its outputs"
            )
        embeddings = rearrange(planes[:, :first], "b (c e) f t -> b c f t e", c=self.channels)
        for name in self.embedding_activation:
            embeddings = EMBEDDING_ACTIVATIONS[name](embeddings)
        if self.mask_activation is None:
            return embeddings, None
        masks = rearrange(planes[:, first:], "b (s c) f t -> b s c f t", c=self.channels)
        if self.mask_activation == "softmax":
            return embeddings, masks.softmax(dim=1)
        return embeddings, torch.sigmoid(masks) if self.mask_activation == "sigmoid" else torch.relu(masks)

    def find_clusters(self, points: Tensor, counted: Tensor, start: Start | None = None) -> Fit:
        """Find one cluster a source, or fewer with `count_sources`.

        Args:
            points: Points from `points`, `(batch, points, dimensions)`.
            counted: True for points that define the clusters, `(batch, points)`.
            start: Initial clusters, if known.
        """
        if self.count_sources:
            return fit_some(self.clusterer, points, counted, len(self.sources), start)
        return self.clusterer.fit(points, counted, len(self.sources), start)

    def points(self, embeddings: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Points of all channels `(batch, points, dimensions)`, and the ones `(batch, points)` to cluster."""
        return embeddings.flatten(1, 3), loudest(coefficients.abs().flatten(1), self.percentile)

    def share_points(self, fit: Fit, embeddings: Tensor) -> Tensor:
        """Masks `(batch, sources, channels, frequency, frames)` from clusters."""
        posteriors = fit.posteriors(embeddings.flatten(1, 3)).mT
        if self.hard:
            sources = torch.arange(posteriors.shape[1], device=posteriors.device)[:, None]
            posteriors = (posteriors.argmax(dim=1, keepdim=True) == sources) * (posteriors > 0)
        return posteriors.to(embeddings.dtype).unflatten(2, embeddings.shape[1:4])


class ClusterFollower:
    """Follows the sources of one recording by the centres of their clusters.

    The network runs on all chunks of a batch at once; the clustering runs chunk by chunk. All groups of
    channels are clustered together and agree on the sources.

    Args:
        separator: Separator of the chunks.
        note: Callback that receives the confidence of each chunk.
    """

    def __init__(self, separator: ClusteringSeparator, note: Note | None = None) -> None:
        self.separator = separator
        self.note = note
        self.memory = ClusterMemory()

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Analysis; and a callback for clusters and synthesis.

        Args:
            mixture: Consecutive chunks `(chunks, groups * channels, samples)`.

        Returns:
            Inputs of the network, and a function from its planes to estimates `(chunks, sources,
            groups * channels, samples)`.
        """
        separator = self.separator
        groups = mixture.shape[1] // separator.channels
        mixed = separator.transform(rearrange(mixture, "b (g c) t -> (b g) c t", g=groups))

        def finish(outputs: Sequence[Tensor]) -> Tensor:
            embeddings, _ = separator.split_heads(outputs[0], mixed)
            embeddings = rearrange(embeddings, "(b g) c f t e -> b (g c) f t e", g=groups)
            coefficients = rearrange(mixed, "(b g) c f t -> b (g c) f t", g=groups)
            chunks = zip(embeddings.split(1), coefficients.split(1), strict=True)
            estimates = torch.cat([self._separate(*chunk) for chunk in chunks])
            estimates = rearrange(estimates, "b s (g c) f t -> (b g) s c f t", g=groups)
            audio = separator.synthesize(estimates, mixture.shape[-1])
            return rearrange(audio, "(b g) s c t -> b s (g c) t", g=groups)

        return (separator.represent(mixed),), finish

    def _separate(self, embeddings: Tensor, coefficients: Tensor) -> Tensor:
        """Estimated coefficients of one chunk; silent chunks leave the memory as it is."""
        points, counted = self.separator.points(embeddings, coefficients)
        fit = self.separator.find_clusters(points, counted, self.memory.start)
        if counted.any():
            self.memory.remember(fit, points, counted)
            if self.note is not None:
                self.note(measure_confidence(fit, points, counted))
        return self.separator.share_points(fit, embeddings) * coefficients[:, None]
