"""The separator, the one noun of Soloist: a map from a mixture to estimates of its sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from soloist.config import build_object
from soloist.errors import UsageError
from soloist.estimation import Confidence
from soloist.losses import Prediction
from soloist.separators.level import Level

Normalization = Literal["none", "track", "chunk"]

ChunkEdges = Literal["signal", "centered"]
"""Context of a separator's chunks; see `Chunking.edges`."""


@dataclass(frozen=True)
class Cutting:
    """Cut of recordings into chunks of which several cover each sample, as published programs make it.

    A recording is mirrored at either end, so that all of its samples are covered alike. A chunk counts in
    full, but for a linear fade over a tenth of its length at either end.

    Attributes:
        length: Samples of a chunk.
        overlaps: Number of chunks that cover a sample.
        padding: Zeros after a chunk, which the separator sees, too.
    """

    length: int
    overlaps: int = 2
    padding: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.overlaps <= self.length or self.padding < 0:
            raise UsageError(
                f"{self.overlaps} chunks of {self.length} samples and {self.padding} zeros cannot cover one"
            )


Finish = Callable[[Sequence[Tensor]], Tensor]
"""Post-processing: outputs of a graph to estimates `(batch, sources, channels, samples)`."""

Note = Callable[[Confidence], None]
"""Callback that receives the clustering confidence."""


@runtime_checkable
class Optimizable(Protocol):
    """A module that can rewrite itself for fast inference without a change of its output."""

    def optimize(self) -> None:
        """Fold, fuse and lay out in memory, in place."""


@runtime_checkable
class Measuring(Protocol):
    """Separator that begins training with statistics of the mixtures."""

    def measure(self, mixtures: Iterable[Tensor]) -> None:
        """Set the statistics from audio `(batch, channels, samples)`, in pieces."""


class Follower(Protocol):
    """Separates consecutive chunks of one recording: keeps the order of the sources, or estimates partitions.

    Like `Separator.stage`, for consecutive chunks of one recording.
    """

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Pre-processing, and a post-processing callback.

        Args:
            mixture: The next chunks in order, `(chunks, channels, samples)`, with a multiple of the
                separator's channels.

        Returns:
            Inputs of the graph, and a function from outputs of the graph to estimates
            `(chunks, sources, channels, samples)`.
        """
        ...


@runtime_checkable
class Following(Protocol):
    """Separator that estimates chunks of one recording otherwise than mixtures of their own.

    Unordered sources are followed through the recording; partitions are estimated with all of their frames.
    """

    def follow(self, note: Note | None = None) -> Follower | None:
        """Make a follower for one recording.

        Args:
            note: Callback that receives the confidence of each chunk.

        Returns:
            A new follower; None if chunks need no memory.
        """


@dataclass(frozen=True)
class PartitionGrid:
    """Grid of frames that a separator estimates by themselves, without regard to their neighbours.

    All lengths are in samples. Estimates of neighbouring partitions are shares, which add up where their
    frames overlap. Only the follower of the separator estimates partitions.

    Attributes:
        step: Distance of the partitions.
        overlap: Samples that the frames of two neighbours share.
        lead: Samples from the begin of the first partition to that of the recording.
    """

    step: int
    overlap: int
    lead: int


class Separator(nn.Module):
    """Maps a mixture `(batch, channels, samples)` to estimates `(batch, sources, channels, samples)`.

    A subclass implements `estimate`, or `graph` and `stage`. Inference, training, evaluation and export know
    this interface and nothing below it.

    Args:
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Sample rate of mixture and estimates, Hz.
        channels: Channels of the mixture and of each estimate.
        ordered: True if the order of the sources is fixed (stems); False for talkers of a model trained with
            a permutation-invariant loss.
        normalization: Statistics for zero mean and unit deviation of the input: none, of the whole track, or
            of each chunk.

    Attributes:
        any_rate: True for a class whose separators may be built for any sample rate and number of channels,
            with the same weights.
        network_dtype: Precision that networks compute with, by autocast and without the layers that they
            keep in float32; None for that of the weights.
    """

    any_rate: ClassVar[bool] = False
    network_dtype: torch.dtype | None = None

    def __init__(
        self,
        *,
        sources: Sequence[str],
        sample_rate: int,
        channels: int = 1,
        ordered: bool = True,
        normalization: Normalization = "none",
    ) -> None:
        super().__init__()
        if not sources or len(set(sources)) != len(sources):
            raise UsageError(f"sources must be distinct names, at least one: {list(sources)}")
        if sample_rate < 1 or channels < 1:
            raise UsageError(f"sample_rate {sample_rate} and channels {channels} must be positive")
        self.sources = tuple(sources)
        self.sample_rate = sample_rate
        self.channels = channels
        self.ordered = ordered
        self.normalization: Normalization = normalization

    @property
    def minimum_length(self) -> int:
        """Samples of the shortest input of `estimate`; shorter chunks are padded with zeros."""
        return 1

    @property
    def chunk_length(self) -> int:
        """Best length of a chunk in samples: the one of the training, or a compromise."""
        return 10 * self.sample_rate

    @property
    def chunk_edges(self) -> ChunkEdges:
        """Context of chunks: full chunks up to the end of the track, or as Demucs is run; see `Chunking`."""
        return "signal"

    @property
    def cutting(self) -> Cutting | None:
        """Cut into chunks that is part of the separator; None for `chunk_length` and `chunk_edges`."""
        return None

    def input_length(self, samples: int) -> int:
        """Best length of the input of `estimate` for a centred chunk of `samples`: the rest is context.

        Raises:
            UsageError: The separator takes no chunks of this length.
        """
        return max(samples, self.minimum_length)

    @property
    def receptive_field(self) -> int | None:
        """Samples on either side that an output sample can depend on; None if unbounded."""
        return None

    @property
    def lookahead(self) -> int | None:
        """Samples of the future that an output sample can depend on; None if unbounded."""
        return self.receptive_field

    @property
    def partition(self) -> PartitionGrid | None:
        """Partitions into which recordings are cut; None for chunks on any grid."""
        return None

    @property
    def stride(self) -> int:
        """Grid in samples: an input shifted by a multiple gives the same output, shifted.

        Chunks begin on multiples of the stride, on the grid of frames of the whole track.
        """
        return 1

    @property
    def mean_share(self) -> float:
        """Part of the mixture's mean that each estimate gets back after normalisation.

        With equal shares, estimates that add up to the normalised mixture add up to the mixture.
        """
        return 1 / len(self.sources)

    @property
    def measures_track(self) -> bool:
        """True if the level of a whole recording must be known before it is separated."""
        return self.normalization == "track"

    def only(self, sources: Sequence[str]) -> Separator:
        """A separator with these sources and the same estimates of them, as cheap as can be had.

        The separator may have further sources, and shares its weights with this one.

        Args:
            sources: Names of some of the sources, at least one.
        """
        return self

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate a whole mixture at once; digital silence gives digital silence.

        Args:
            mixture: Audio `(batch, channels, samples)`, float, nominally in [-1, 1].

        Returns:
            Estimates `(batch, sources, channels, samples)`, of the mixture's length.

        Raises:
            UsageError: The shape is not that of a mixture for this separator.
        """
        normalized, level = self.normalize(mixture)
        return self.restore_estimates(self.estimate_any_length(normalized), mixture, level)

    def normalize(self, mixture: Tensor) -> tuple[Tensor, Level | None]:
        """Bring a mixture `(batch, channels, samples)` to the level that the separator estimates at.

        Returns:
            The normalised mixture, and the level to restore; None without normalisation.

        Raises:
            UsageError: The shape is not that of a mixture for this separator.
        """
        self._check(mixture)
        level = None if self.normalization == "none" else Level.of(mixture)
        return (mixture if level is None else level.normalize(mixture)), level

    def restore_estimates(self, estimates: Tensor, mixture: Tensor, level: Level | None) -> Tensor:
        """Estimates at the level of the mixture; digital silence for digital silence.

        Args:
            estimates: `(batch, sources, channels, samples)` for the normalised mixture.
            mixture: Audio `(batch, channels, samples)`.
            level: Level that the mixture was normalised by.
        """
        restored = estimates if level is None else level.restore(estimates, self.mean_share)
        # A network with biases answers silence with a faint noise.
        return restored.masked_fill(is_silent(mixture)[:, None, None, None], 0.0)

    def predict(self, mixture: Tensor) -> Prediction:
        """Prediction for a mixture `(batch, channels, samples)`, as losses take it."""
        return Prediction(mixture, lambda: self(mixture))

    def estimate(self, mixture: Tensor) -> Tensor:
        """Estimate the sources of a normalised mixture of at least `minimum_length` samples.

        Args:
            mixture: Audio `(batch, channels, samples)`.

        Returns:
            Estimates `(batch, sources, channels, samples)`.
        """
        if self.graph is None:
            raise NotImplementedError(f"{type(self).__name__} does not implement estimate")
        return self.run_staged(*self.stage(mixture))

    def run_staged(self, inputs: tuple[Tensor, ...], finish: Finish) -> Tensor:
        """Run the `graph` on its inputs, and finish the outputs."""
        assert self.graph is not None
        return finish(self.run_network(self.graph, *inputs))

    def run_network(self, network: nn.Module, *inputs: Tensor) -> list[Tensor]:
        """Run a network with `network_dtype`.

        Returns:
            Its outputs, in the precision of the inputs where there is a `network_dtype`.
        """
        if self.network_dtype is None:
            outputs = network(*inputs)
            return [outputs] if isinstance(outputs, Tensor) else list(outputs)
        with torch.autocast(inputs[0].device.type, self.network_dtype):
            outputs = network(*inputs)
        outputs = [outputs] if isinstance(outputs, Tensor) else outputs
        return [output.to(inputs[0].dtype) for output in outputs]

    @property
    def graph(self) -> nn.Module | None:
        """The exportable, real-valued part of the separator; None if there is none.

        A module from real tensors to one or several real tensors. Complex analysis and synthesis stay
        outside.
        """
        return None

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """Pre-processing, and a post-processing callback.

        Args:
            mixture: Normalised audio `(batch, channels, samples)` of at least `minimum_length` samples.

        Returns:
            Inputs of the graph, and a function from outputs of the graph to estimates.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement stage")

    def estimate_any_length(
        self, mixture: Tensor, estimate: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """`estimate` for any length from one sample: short mixtures are padded, their estimates cut.

        Args:
            mixture: Normalised audio `(batch, channels, samples)`.
            estimate: Function to call in place of the separator's own `estimate`.
        """
        estimate = estimate or self.estimate
        samples = mixture.shape[-1]
        missing = self.minimum_length - samples
        if missing <= 0:
            return estimate(mixture)
        return estimate(nn.functional.pad(mixture, (0, missing)))[..., :samples]

    def optimize(self) -> Separator:
        """Rewrite the separator for fast inference, in place; the estimates stay the same.

        Networks fold and fuse layers in their own `optimize()`. An optimised separator cannot be trained.
        """
        self.eval().requires_grad_(False)
        for module in list(self.modules()):
            if not isinstance(module, Separator) and isinstance(module, Optimizable):
                module.optimize()
        return self

    def _check(self, mixture: Tensor) -> None:
        if mixture.ndim != 3 or mixture.shape[1] != self.channels or mixture.shape[2] < 1:
            raise UsageError(
                f"the mixture must be (batch, {self.channels}, samples) with at least one sample, "
                f"not {tuple(mixture.shape)}"
            )


def is_silent(mixture: Tensor) -> Tensor:
    """True for each mixture of `(batch, channels, samples)` that is digital silence; `(batch,)`."""
    return mixture.eq(0).flatten(1).all(dim=1)


def build_separator(config: Mapping[str, Any], where: str) -> Separator:
    """Build the separator that a configuration describes, with fresh weights, in eval mode.

    Args:
        config: `class_path` and `init_args`; a part of the separator is another such mapping.
        where: Owner of the configuration, for messages.

    Raises:
        ConfigError: As `build_object` does.
    """
    return build_object(config, where, Separator).eval()
