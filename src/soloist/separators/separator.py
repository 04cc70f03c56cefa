"""The one noun of Soloist: a separator maps a mixture to estimates of its sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from soloist.config import build_object
from soloist.errors import UsageError
from soloist.estimation import Confidence
from soloist.losses import Prediction

Normalization = Literal["none", "track", "chunk"]

Finish = Callable[[Sequence[Tensor]], Tensor]
"""Makes estimates `(batch, sources, channels, samples)` of what a graph returned."""

Note = Callable[[Confidence], None]
"""Is told how clear a separation was."""


@runtime_checkable
class Optimizable(Protocol):
    """A module that can rewrite itself for fast inference without a change of its output."""

    def optimize(self) -> None:
        """Fold, fuse and lay out in memory, in place."""


@runtime_checkable
class Measuring(Protocol):
    """A separator that begins its training with statistics of what it is to separate."""

    def measure(self, mixtures: Iterable[Tensor]) -> None:
        """Set these from audio `(batch, channels, samples)`, in pieces."""


class Follower(Protocol):
    """Separates consecutive chunks of one recording, and remembers what is what from one to the next.

    It is to the chunks what `Separator.stage` is to a batch of mixtures that have nothing to do with each
    other.
    """

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """What is done around the separator's `graph`.

        Args:
            mixture: The next chunks, in their order: `(chunks, channels, samples)`, with a multiple of the
                separator's channels.

        Returns:
            What the graph is given, and what makes estimates `(chunks, sources, channels, samples)` of that
            which it returns.
        """
        ...


@runtime_checkable
class Following(Protocol):
    """A separator of unordered sources that can follow these through a recording."""

    def follow(self, note: Note | None = None) -> Follower | None:
        """What separates one recording chunk by chunk.

        Args:
            note: Is told how clear each chunk was.

        Returns:
            A new one for each recording; None where nothing is to be remembered.
        """


@dataclass(frozen=True)
class Level:
    """Mean and standard deviation of a mixture, by which a separator's input is normalised.

    Both have shape `(batch, 1, 1)`. The deviation is the unbiased one, with a floor, so that silence
    stays silence.
    """

    mean: Tensor
    deviation: Tensor

    floor = 1e-8

    @classmethod
    def of(cls, mixture: Tensor) -> Level:
        """Measure a mixture `(batch, channels, samples)` over the mean of its channels."""
        mono = mixture.mean(dim=1, keepdim=True)
        mean = mono.mean(dim=-1, keepdim=True)
        deviation = mono.std(dim=-1, keepdim=True) if mono.shape[-1] > 1 else torch.zeros_like(mean)
        return cls(mean, deviation + cls.floor)

    def normalize(self, mixture: Tensor) -> Tensor:
        """Bring a mixture `(batch, channels, samples)` to zero mean and unit deviation."""
        return (mixture - self.mean) / self.deviation

    def restore(self, estimates: Tensor) -> Tensor:
        """Bring estimates `(batch, sources, channels, samples)` back to the mixture's level.

        The mean is shared equally, so that estimates which add up to the normalised mixture add up
        to the mixture.
        """
        share = self.mean / estimates.shape[1]
        return estimates * self.deviation[:, None] + share[:, None]

    def restore_coefficients(self, coefficients: Tensor, ones: Tensor) -> Tensor:
        """`restore` on what a linear transform makes of estimates.

        Args:
            coefficients: `(batch, sources, channels, ...)`.
            ones: What it makes of a signal of ones, `(1, 1, ...)`.
        """
        mean, deviation = (
            values.reshape(-1, *[1] * (coefficients.ndim - 1)) for values in (self.mean, self.deviation)
        )
        return coefficients * deviation + mean / coefficients.shape[1] * ones[:, None]


class Separator(nn.Module):
    """Maps a mixture `(batch, channels, samples)` to estimates `(batch, sources, channels, samples)`.

    A subclass implements `estimate`, or `graph` and `stage`. Everything that works with separators
    (inference, training, evaluation, export) knows this interface and nothing below it.

    Args:
        sources: Names of the sources, in the order of the estimates.
        sample_rate: Rate that the separator works at, in Hz.
        channels: Channels of the mixture and of each estimate.
        ordered: Whether the order of the sources means something (stems), or not (talkers of a model
            trained with a permutation-invariant loss).
        normalization: What the input is normalised by to zero mean and unit deviation: nothing, the
            statistics of the whole track, or those of each chunk.
    """

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
        """Samples below which a chunk is padded with zeros before it is estimated."""
        return 1

    @property
    def chunk_length(self) -> int:
        """Samples that are best given at once: what the separator was trained on, or a compromise."""
        return 10 * self.sample_rate

    @property
    def receptive_field(self) -> int | None:
        """Samples on either side that an output sample can depend on; None where there is no bound."""
        return None

    @property
    def lookahead(self) -> int | None:
        """Samples of the future that an output sample can depend on; None where there is no bound."""
        return self.receptive_field

    @property
    def stride(self) -> int:
        """Samples by which an input may be shifted so that the output only shifts with it.

        Chunks begin on multiples of it, so that they see the grid of frames that the track sees.
        """
        return 1

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
        restored = estimates if level is None else level.restore(estimates)
        # A network with biases answers silence with a faint noise.
        return restored.masked_fill(is_silent(mixture)[:, None, None, None], 0.0)

    def predict(self, mixture: Tensor) -> Prediction:
        """What a loss sees of a mixture `(batch, channels, samples)`: estimates, and what led to them."""
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
        """Run the `graph` between the halves of a `stage`."""
        assert self.graph is not None
        outputs = self.graph(*inputs)
        return finish([outputs] if isinstance(outputs, Tensor) else outputs)

    @property
    def graph(self) -> nn.Module | None:
        """What of `estimate` other engines can run: a module from real tensors to one or several such.

        Analysis and synthesis by complex numbers stay outside of it. None where there is no such module.
        """
        return None

    def stage(self, mixture: Tensor) -> tuple[tuple[Tensor, ...], Finish]:
        """What `estimate` does around the `graph`.

        Args:
            mixture: Normalised audio `(batch, channels, samples)` of at least `minimum_length` samples.

        Returns:
            What the graph is given, and what makes estimates of that which it returns.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement stage")

    def estimate_any_length(
        self, mixture: Tensor, estimate: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """`estimate` for any length from one sample: what is too short is padded and cut again.

        Args:
            mixture: Normalised audio `(batch, channels, samples)`.
            estimate: What estimates in place of the separator's own `estimate`.
        """
        estimate = estimate or self.estimate
        samples = mixture.shape[-1]
        missing = self.minimum_length - samples
        if missing <= 0:
            return estimate(mixture)
        return estimate(nn.functional.pad(mixture, (0, missing)))[..., :samples]

    def optimize(self) -> Separator:
        """Rewrite the separator for fast inference, in place; the estimates stay the same.

        Networks that can fold or fuse something do it in their own `optimize()`; what has been
        optimised cannot be trained on.
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
    """Whether each mixture of `(batch, channels, samples)` is digital silence; `(batch,)`."""
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
