r"""Cut of a track of any length into chunks.

    track      |--------------------------------------------------------|
    chunk 0    |================\\\\~~|
    chunk 1                  |~~////===========\\\\~~|
    chunk 2                                 |~~////=====================|

The outermost `trim` samples (~) of a chunk are context: the network's estimate lacks one side there.
The next `overlap` samples (/ \) are cross-faded with the neighbour by windows that sum to one. Samples that
no later chunk touches are emitted at once.

Centred chunks are those of Demucs: chunks begin every `step` samples as long as the track lasts, so that the
last ones are short, and each is widened on both sides to the length that the separator wants.

Chunks of a `Cutting` begin before the track, which is mirrored, so that as many of them cover each sample. If
the track is too short to be mirrored, they begin with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.separators.separator import Cutting, PartitionGrid, Separator

_WIDEST = 0.95
"""Widest overlap of chunks of a `Cutting`, as a part of a chunk."""


@dataclass(frozen=True)
class Chunking:
    """Cut of a track into chunks. All lengths are in samples.

    Attributes:
        length: Length of a chunk.
        overlap: Length of the cross-fade of neighbours.
        trim: Context dropped at either end of a chunk.
        edges: Context of a chunk. "signal": the real neighbours; the first chunk begins and the last one ends
            with the track. "padded": the real neighbours, and zeros beyond the track; every chunk has the
            full length. "zeros": zeros everywhere beyond the core. "shares": like "padded", but estimates of
            neighbours are added in the overlap, without a cross-fade; see `PartitionGrid`. "centered": like
            "padded", but the context is no part of `length`, and that of the last, short chunks is longer.
            "mirrored": the track, mirrored at either end; the overlap may be longer than a half.
        stride: Grid on which chunks begin; see `Separator.stride`.
        lead: Samples from the begin of the first chunk to that of the track, with "shares".
        widen: Samples of a centred chunk with its context, by those without; see `Separator.input_length`.
        power: Power of the triangular weights of the cross-fade; None for a cross-fade by squared sines.
        padding: Zeros after a mirrored chunk, beyond `length`.
    """

    length: int
    overlap: int = 0
    trim: int = 0
    edges: Literal["signal", "padded", "zeros", "shares", "centered", "mirrored"] = "signal"
    stride: int = 1
    lead: int = 0
    widen: Callable[[int], int] = int
    power: float | None = None
    padding: int = 0

    def __post_init__(self) -> None:
        widest = self.length if self.edges == "mirrored" else self.step
        if min(self.overlap, self.trim) < 0 or self.step < 1 or self.overlap > widest:
            raise UsageError(
                f"chunks of {self.length} samples cannot overlap by {self.overlap} and lose {self.trim} at "
                f"either end: take longer chunks or a smaller overlap"
            )
        if self.edges == "signal" and self.step % self.stride:
            raise UsageError(f"chunks {self.step} samples apart are off the grid of {self.stride} samples")

    @property
    def step(self) -> int:
        """Samples from one chunk to the next."""
        return self.length - 2 * self.trim - self.overlap

    @property
    def input_length(self) -> int:
        """Samples of a chunk as the separator sees it."""
        return self.longest_input(self.length)

    def longest_input(self, samples: int) -> int:
        """Most samples that the separator sees at once of a track of so many samples."""
        if self.edges == "mirrored":
            return self.length + self.padding
        longest = min(self.length, samples)
        return self.widen(longest) if self.edges == "centered" else longest

    def count(self, samples: int) -> int:
        """Number of chunks of a track."""
        if self.edges == "shares":
            return max(1, -(-(samples + self.lead) // self.step))
        if self.edges == "centered":
            return max(1, -(-samples // self.step))
        if self.edges == "mirrored":
            return max(1, -(-(samples + (self.overlap if self.mirrors(samples) else 0)) // self.step))
        return 1 + max(0, -(-(samples - self.length) // self.step))

    def last(self, samples: int) -> int:
        """Length of the last chunk of a track, as the separator sees it."""
        if self.edges == "centered":
            return self.longest_input(samples - (self.count(samples) - 1) * self.step)
        if self.edges != "signal":
            return self.longest_input(samples) if self.edges == "mirrored" else self.length
        beyond = max(0, samples - self.length)
        return samples - -(-beyond // self.stride) * self.stride

    def mirrors(self, samples: int) -> bool:
        """Return True if a track of so many samples is long enough to be mirrored at either end."""
        return samples > 2 * self.overlap > 0

    @classmethod
    def of(cls, separator: Separator, *, length: int | None = None, overlap: float | None = None) -> Chunking:
        """The chunking for a separator.

        Args:
            separator: Separator, for its best chunk length, receptive field and stride.
            length: Samples of a chunk; None for the separator's best.
            overlap: Part of a chunk, in [0, 0.5], shared with the next one. None for twice the receptive
                field, which gives the result of the whole track; a quarter if the field is unbounded or
                longer than a quarter of the chunk.

        A separator with partitions has chunks of whole partitions, one or as many as fit into `length`; one
        with a `Cutting` has its chunks, whose overlap may be up to 0.95.

        Raises:
            UsageError: The chunk is too short for the overlap or for the separator's grid, or partitions are
                to overlap.
        """
        if separator.partition is not None:
            return cls._of_partition(separator.partition, length, overlap)
        if separator.cutting is not None:
            return cls._of_cutting(separator, separator.cutting, length, overlap)
        if overlap is not None and not 0 <= overlap <= 0.5:
            raise UsageError(f"overlap {overlap:g} must lie in 0..0.5 (it is a part of the chunk)")
        if separator.chunk_edges == "centered":
            return cls._centered(separator, length or separator.chunk_length, overlap)
        stride, field = separator.stride, separator.receptive_field
        length = max(length or separator.chunk_length, separator.minimum_length)
        if overlap is not None:
            shared = round(overlap * length)
        elif field is not None and 2 * field <= length // 2:
            shared = 2 * field
        else:
            shared = length // 4
        step = (length - shared) // stride * stride
        if step < 1:
            raise UsageError(
                f"chunks of {length} samples are too short: they begin on a grid of {stride} samples"
            )
        shared = length - step if shared else 0
        trim = shared // 4 if field is None else min(field, shared // 2)
        fade = min(shared - 2 * trim, step)
        return cls(length=step + 2 * trim + fade, overlap=fade, trim=trim, stride=stride)

    @classmethod
    def _of_partition(cls, partition: PartitionGrid, length: int | None, overlap: float | None) -> Chunking:
        if overlap:
            raise UsageError(
                f"overlap {overlap:g} is not possible: the model cuts recordings into partitions of "
                f"{partition.step} samples without overlap; leave the overlap out"
            )
        step = max(1, (length or 0) // partition.step) * partition.step
        return cls(step + partition.overlap, partition.overlap, edges="shares", lead=partition.lead)

    @classmethod
    def _centered(cls, separator: Separator, length: int, overlap: float | None) -> Chunking:
        """The chunking of Demucs: a quarter of overlap, triangular weights."""
        part = 0.25 if overlap is None else overlap
        # An overlap of a half must not make three chunks meet.
        step = max(1, int((1 - part) * length), (length + 1) // 2)
        # Refuses a length that the separator does not take.
        separator.input_length(length)
        return cls(length, length - step, edges="centered", widen=separator.input_length, power=1.0)

    @classmethod
    def _of_cutting(
        cls, separator: Separator, cutting: Cutting, length: int | None, overlap: float | None
    ) -> Chunking:
        if overlap is not None and not 0 <= overlap <= _WIDEST:
            raise UsageError(f"overlap {overlap:g} must lie in 0..{_WIDEST} (it is a part of the chunk)")
        length = max(length or cutting.length, separator.minimum_length)
        step = length // cutting.overlaps if overlap is None else round((1 - overlap) * length)
        return cls(length, length - max(1, step), edges="mirrored", padding=cutting.padding)

    def window(self) -> Tensor:
        """Weights of a mirrored chunk before their sum is made one, `(length,)`."""
        weights = torch.ones(self.length, dtype=torch.float64)
        fade = min(self.length // 10, self.overlap)
        if fade:
            weights[:fade] = torch.linspace(0, 1, fade, dtype=torch.float64)
            weights[-fade:] = torch.linspace(1, 0, fade, dtype=torch.float64)
        return weights

    def fade_in(self) -> Tensor:
        """Weights of a chunk where it overlaps with the one before, `(overlap,)`."""
        if self.edges == "shares":
            return torch.ones(self.overlap, dtype=torch.float64)
        if self.power is None:
            fade = torch.arange(self.overlap, dtype=torch.float64) + 0.5
            return torch.sin(torch.pi / 2 * fade / max(1, self.overlap)) ** 2
        rising = torch.arange(1, self.length + 1, dtype=torch.float64)
        weights = torch.minimum(rising, rising.flip(0)) / ((self.length + 1) // 2)
        weights = weights**self.power
        fading, leaving = weights[: self.overlap], weights[self.step :]
        return fading / (fading + leaving)

    def fade_out(self) -> Tensor:
        """Weights of a chunk where it overlaps with the next one, `(overlap,)`."""
        return self.fade_in() if self.edges == "shares" else 1 - self.fade_in()
