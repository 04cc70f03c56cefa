r"""Separators that cluster: points of a spectrogram whose embeddings lie together are one source.

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
from soloist.estimation.clustering.counting import fit_some
from soloist.losses import Prediction
from soloist.networks import SpectralNetwork
from soloist.networks.layers.convolutions import EMBEDDING_ACTIVATIONS, EmbeddingActivation
from soloist.separators.separator import Finish, Normalization, Note
from soloist.separators.spectral_separator import Representation, SpectralSeparator
from soloist.transforms import SpectralTransform

MaskActivation = Literal["sigmoid", "softmax", "relu"]
"""What masks go through; "softmax" is over the sources, whose masks then add up to one."""


class ClusteringSeparator(SpectralSeparator):
    """Gives each point of a spectrogram to the cluster of its embedding.

    Clusters are found among the embeddings of the loudest points, of all channels together; all points are
    then shared out among them. Training needs no clusters, unless a loss asks for estimates.

    Args:
        transform: Analysis and synthesis.
        network: Maps what it sees of the mixture to planes `(batch, planes, frequency, frames)`: first
            `channels * embedding_size` of embeddings, those of the first channel first; then, if there is a
            `mask_activation`, `sources * channels` of masks, those of the first source first.
        sources: Names of the sources.
        sample_rate: Rate that the network was trained at, in Hz.
        embedding_size: Dimensions of an embedding.
        channels: Channels of the mixture and of each estimate.
        clusterer: How clusters are found; k-means if it is not said.
        embedding_activation: What embeddings go through, one after the other.
        mask_activation: What masks go through; None for a network without masks (deep clustering).
        inference: What separates: the clusters, or the network's masks.
        percentile: Points that are at least as loud as this percentile of all are those that the clusters are
            found among.
        hard: Whether each point belongs to one source alone.
        count_sources: Whether the number of sources is found out, for each item; those that are missing are
            silent.
        representation: What the network sees of the mixture; see `SpectralSeparator`.
        chunk_frames: Frames that are best given at once.
        normalization: What the audio is normalised by; see `Separator`.
        ordered: Whether the order of the sources means something. That of clusters does not.

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
        # Clusters are found among all that is given.
        return None if self.inference == "clusters" else super()._in_samples(frames, around)

    def predict(self, mixture: Tensor) -> Prediction:
        """What a loss sees of a mixture `(batch, channels, samples)`.

        There are masks and coefficients where the network has masks. The estimates are those of `inference`,
        and nothing is clustered before a loss asks for them.
        """
        mixed, level = self.analyze(mixture)
        embeddings, masks = self.split_heads(self.network(self.represent(mixed)), mixed)
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
        """What the network's planes make of the mixture.

        Args:
            output: `(batch, planes, frequency, frames)`.
            coefficients: Those of the mixture, complex `(batch, channels, frequency, frames)`.

        Returns:
            Complex `(batch, sources, channels, frequency, frames)`.
        """
        embeddings, masks = self.split_heads(output, coefficients)
        if masks is None or self.inference == "clusters":
            masks = self.share_points(self.find_clusters(*self.points(embeddings, coefficients)), embeddings)
        return masks * coefficients[:, None]

    def follow(self, note: Note | None = None) -> ClusterFollower | None:
        """What separates a recording chunk by chunk; None where the network's masks do."""
        return ClusterFollower(self, note) if self.inference == "clusters" else None

    def split_heads(self, output: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor | None]:
        """Embeddings and masks from the network's planes.

        Args:
            output: `(batch, planes, frequency, frames)`.
            coefficients: Those of the mixture, complex `(batch, channels, frequency, frames)`.

        Returns:
            Embeddings `(batch, channels, frequency, frames, dimensions)`, and masks `(batch, sources,
            channels, frequency, frames)`, if there are any.

        Raises:
            UsageError: The network has not as many planes as it is to have.
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
        """Find as many clusters as there are sources, or may be.

        Args:
            points: What `points` gives, `(batch, points, dimensions)`.
            counted: Which of them clusters come from, `(batch, points)`.
            start: What is known of the clusters.
        """
        if self.count_sources:
            return fit_some(self.clusterer, points, counted, len(self.sources), start)
        return self.clusterer.fit(points, counted, len(self.sources), start)

    def points(self, embeddings: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """The points of all channels `(batch, points, dimensions)`, and which of them clusters come from."""
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

    The network is run on all chunks of a batch at once; they are then clustered one after the other. Groups
    of channels that the separator takes apart are clustered together, so that they agree on the sources.

    Args:
        separator: What separates.
        note: Is told how clear the clusters of each chunk are.
    """

    def __init__(self, separator: ClusteringSeparator, note: Note | None = None) -> None:
        self.separator = separator
        self.note = note
        self.memory = ClusterMemory()

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Analysis before the network; clusters and synthesis after it.

        Args:
            mixture: Consecutive chunks `(chunks, groups * channels, samples)`.

        Returns:
            What the network is given, and what makes estimates `(chunks, sources, groups * channels,
            samples)` of its planes.
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
        """The estimated coefficients of one chunk; silence is neither clustered nor remembered."""
        points, counted = self.separator.points(embeddings, coefficients)
        fit = self.separator.find_clusters(points, counted, self.memory.start)
        if counted.any():
            self.memory.remember(fit, points, counted)
            if self.note is not None:
                self.note(measure_confidence(fit, points, counted))
        return self.separator.share_points(fit, embeddings) * coefficients[:, None]
