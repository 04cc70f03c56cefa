"""Separators made of other separators, each of which separates whole streams as if it were alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from soloist.audio import Audio, resample_audio, resample_blocks
from soloist.errors import UsageError
from soloist.separators.chunk_estimator import make_estimate, outside_of
from soloist.separators.chunked_separation import Estimate, separate_blocks
from soloist.separators.chunking import Chunking
from soloist.separators.content_hash import content_hash, plain_attributes
from soloist.separators.level import Level
from soloist.separators.separator import Following, Separator

Blocks = Iterable[Audio]
"""Consecutive pieces of a signal `(..., channels, samples)` at the rate of the composite separator."""


class PartRunner(Protocol):
    """Runs the parts of a composite separator over streams."""

    def separate(self, place: int, blocks: Blocks) -> Blocks:
        """Separate a stream by one part.

        Args:
            place: Place of the part.
            blocks: Pieces `(channels, samples)`.

        Returns:
            Pieces of the part's estimates `(sources, channels, samples)`, in all as long as the stream.
        """
        ...

    def share(self, blocks: Blocks, count: int) -> Sequence[Blocks]:
        """The same stream, so many times."""
        ...


@dataclass(frozen=True)
class StoredPart:
    """Part of a composite separator whose weights are in memory only while it separates.

    Attributes:
        load: Loads the part.
        content_hash: Hash of its weights and attributes.
    """

    load: Callable[[], Separator]
    content_hash: str

    def only(self, sources: Sequence[str]) -> StoredPart:
        """The part with these sources; see `Separator.only`."""
        return replace(self, load=lambda: self.load().only(sources))


class CompositeSeparator(Separator):
    """A separator made of others: an ensemble, or a chain.

    Each part has a rate, channels, chunks and a normalisation of its own, and estimates what it estimates
    alone. A subclass implements `combine`, which describes the streams between the parts; memory does not
    depend on their length.

    Args:
        parts: The separators.
        sources: Names of the sources.

    Attributes:
        stored: Parts without weights in memory, by their places.
    """

    def __init__(self, parts: Sequence[Separator], sources: Sequence[str]) -> None:
        if not parts:
            raise UsageError(f"{type(self).__name__} needs at least one model")
        super().__init__(
            sources=sources,
            sample_rate=max(part.sample_rate for part in parts),
            channels=max(part.channels for part in parts),
            ordered=all(part.ordered for part in parts),
        )
        self._parts = nn.ModuleList(parts)
        self.stored: dict[int, StoredPart] = {}
        # Parts that are ready to estimate make a separator that is ready itself.
        self.training = any(part.training for part in parts)

    @property
    def parts(self) -> list[Separator]:
        """The separators, in order."""
        return [part for part in self._parts if isinstance(part, Separator)]

    def load_part(self, place: int) -> Separator:
        """A part with its weights."""
        return self.stored[place].load() if place in self.stored else self.parts[place]

    @property
    def one_by_one(self) -> bool:
        """True if each part separates the whole stream before the next one does.

        Parts whose weights are not kept in memory do, and those that are normalised by the level of a whole
        track that another part makes.
        """
        for place, part in enumerate(self.parts):
            if not self.takes_mixture(place) and part.measures_track:
                return True
            if isinstance(part, CompositeSeparator) and part.one_by_one:
                return True
        return bool(self.stored)

    @property
    def measures_track(self) -> bool:
        """True if a part that takes the mixture needs its level."""
        return any(part.measures_track for place, part in enumerate(self.parts) if self.takes_mixture(place))

    def combine(self, blocks: Blocks, runner: PartRunner) -> Iterator[Audio]:
        """Separate a stream.

        Args:
            blocks: Consecutive pieces of the mixture `(channels, samples)`, at the separator's rate.
            runner: Runs the parts.

        Yields:
            Consecutive pieces of the estimates `(sources, channels, samples)`, in all as long as the mixture.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement combine")

    def takes_mixture(self, place: int) -> bool:
        """True if a part separates the mixture, False for an estimate of another part."""
        raise NotImplementedError(f"{type(self).__name__} does not implement takes_mixture")

    @property
    def remainder(self) -> str | None:
        """Source that holds all that the others leave of the mixture; None if there is none."""
        return None

    @property
    def chunk_length(self) -> int:
        """The longest of the parts."""
        return max(part.chunk_length * self.sample_rate // part.sample_rate for part in self.parts)

    def estimate(self, mixture: Tensor, estimates: Sequence[Estimate] | None = None) -> Tensor:
        """Estimate the sources of whole mixtures, each of which may be longer than the chunks of the parts.

        Args:
            mixture: Audio `(batch, channels, samples)`.
            estimates: Functions to call in place of the parts' own `estimate`.

        Returns:
            Estimates `(batch, sources, channels, samples)`.
        """
        runner = _WholeRunner(self, estimates or [_without_grad(part) for part in self.parts])
        found = []
        for item in mixture.detach().cpu().numpy():
            found.append(np.concatenate(list(self.combine([item], runner)), axis=-1))
        return torch.from_numpy(np.stack(found)).to(mixture)

    def optimize(self) -> Separator:
        """Rewrite the parts for fast inference, in place; see `Separator.optimize`."""
        for part in self.parts:
            part.optimize()
        self.eval()
        return self


def model_hash(separator: Separator) -> str:
    """Hash of a separator's weights and attributes, by which a changed model is recognised."""
    if not isinstance(separator, CompositeSeparator):
        return content_hash(separator)
    stored = separator.stored
    parts = [
        stored[place].content_hash if place in stored else model_hash(part)
        for place, part in enumerate(separator.parts)
    ]
    return content_hash(nn.Module(), type(separator).__name__, plain_attributes(separator), parts)


def leaves(separator: Separator) -> Iterator[Separator]:
    """Separators that a separator is made of, or itself."""
    if not isinstance(separator, CompositeSeparator):
        yield separator
        return
    for part in separator.parts:
        yield from leaves(part)


def beyond_rate(blocks: Blocks, sample_rate: int, lower_rate: int) -> Iterator[Audio]:
    """Content of a stream `(channels, samples)` that a lower rate cannot hold, as long as the stream.

    Args:
        blocks: Consecutive pieces.
        sample_rate: Their rate, Hz.
        lower_rate: The lower rate, Hz.
    """
    held: list[Audio] = []

    def remember() -> Iterator[Audio]:
        for block in blocks:
            held.append(block)
            yield block

    lower = resample_blocks(resample_blocks(remember(), sample_rate, lower_rate), lower_rate, sample_rate)
    for block in lower:
        original = np.concatenate(held, axis=-1)
        samples = min(block.shape[-1], original.shape[-1])
        held[:] = [original[..., samples:]]
        yield original[..., :samples] - block[..., :samples]


def _without_grad(separator: Separator) -> Estimate:
    """Estimator on the device of a separator, for mixtures on the processor."""
    tensors = itertools.chain(separator.parameters(), separator.buffers())
    device = next((tensor.device for tensor in tensors), torch.device("cpu"))
    return lambda mixture: separator.estimate_any_length(mixture.to(device)).cpu()


class _WholeRunner:
    """Runs the parts of a separator over signals in memory."""

    def __init__(self, separator: CompositeSeparator, estimates: Sequence[Estimate]) -> None:
        self._separator, self._estimates = separator, estimates

    def share(self, blocks: Blocks, count: int) -> Sequence[Blocks]:
        return [list(blocks)] * count

    def separate(self, place: int, blocks: Blocks) -> Blocks:
        part, rate = self._separator.parts[place], self._separator.sample_rate
        mixture = np.concatenate(list(blocks), axis=-1)
        at_rate = torch.from_numpy(resample_audio(mixture, rate, part.sample_rate))[None]
        estimated = _estimate_whole(part, at_rate, self._estimates[place])
        folded = rearrange(estimated.cpu().numpy(), "1 s c t -> (s c) t")
        resampled = resample_audio(folded, part.sample_rate, rate)[:, : mixture.shape[-1]]
        return [rearrange(resampled, "(s c) t -> s c t", c=mixture.shape[0])]


@torch.no_grad()
def _estimate_whole(separator: Separator, mixture: Tensor, estimate: Estimate) -> Tensor:
    """Estimates of a mixture `(1, any channels, samples)` of any length and level."""
    level = Level.of(mixture)
    if isinstance(separator, CompositeSeparator):
        return make_estimate(separator, estimate)(mixture)
    follower = separator.follow() if isinstance(separator, Following) else None
    if follower is not None:
        stage = follower.stage
        estimate = lambda chunk: separator.run_staged(*stage(chunk))  # noqa: E731
    pieces = separate_blocks(
        make_estimate(separator, estimate, level, follows=follower is not None),
        [mixture],
        Chunking.of(separator),
        ordered=separator.ordered,
        follows=follower is not None,
        outside=outside_of(separator, level),
    )
    return torch.cat(list(pieces), dim=-1)
