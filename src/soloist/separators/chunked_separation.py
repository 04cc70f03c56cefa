"""Chunked separation of signals of any length, in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from soloist.errors import UsageError
from soloist.estimation import OrderKeeper, align_sources
from soloist.resources import read_ahead
from soloist.separators.chunking import Chunking
from soloist.separators.separator import Following, Separator

Estimate = Callable[[Tensor], Tensor]
"""A mixture `(batch, channels, samples)` to estimates `(batch, sources, channels, samples)`."""


def separate_chunked(
    separator: Separator | Estimate, mixture: Tensor, chunking: Chunking, *, ordered: bool = True
) -> Tensor:
    """Separate a mixture in memory chunk by chunk.

    Args:
        separator: A separator, or a function to apply to each chunk.
        mixture: Audio `(batch, channels, samples)`, normalised if the separator asks for that.
        chunking: Cut into chunks.
        ordered: True if sources keep their order from chunk to chunk; ignored for a separator, which states
            its own.

    Returns:
        Estimates `(batch, sources, channels, samples)`.
    """
    estimate: Estimate = separator
    if isinstance(separator, Separator):
        estimate, ordered = separator.estimate_any_length, separator.ordered
        if chunking.edges == "shares":
            estimate = _partitions_of(separator)
    return torch.cat(list(separate_blocks(estimate, [mixture], chunking, ordered=ordered)), dim=-1)


def _partitions_of(separator: Separator) -> Estimate:
    """Estimator of whole partitions.

    Raises:
        UsageError: The separator has no partitions.
    """
    follower = separator.follow() if separator.partition and isinstance(separator, Following) else None
    if follower is None:
        raise UsageError(f"{type(separator).__name__} has no partitions whose shares could be added")
    return lambda chunk: separator.run_staged(*follower.stage(chunk))


def separate_blocks(
    estimate: Estimate,
    blocks: Iterable[Tensor],
    chunking: Chunking,
    *,
    batch_size: int = 1,
    ordered: bool = True,
    follows: bool = False,
    outside: float = 0.0,
    ahead: bool = False,
) -> Iterator[Tensor]:
    """Separate a stream of blocks into a stream of blocks; memory does not depend on the duration.

    Chunks and batches do not depend on the size of the blocks.

    Args:
        estimate: Function from a batch of chunks to estimates.
        blocks: Consecutive pieces of the mixture `(batch, channels, samples)`.
        chunking: Cut into chunks.
        batch_size: Chunks in a batch.
        ordered: True if sources keep their order; otherwise each chunk is permuted to agree with the one
            before in the overlap.
        follows: True if `estimate` follows unordered sources itself: chunks are then permuted only if the
            overlap is clear.
        outside: Value of the context beyond the track, at the level of the blocks.
        ahead: Read and estimate the next chunks in a thread, while the last ones are joined and taken: up to
            two batches more are in memory.

    Yields:
        Consecutive pieces of the estimates `(batch, sources, channels, samples)`, in all as long as the
        mixture.
    """
    stream = _Stream(blocks, outside)
    join = _Pile if chunking.edges == "mirrored" else _Glue
    glue = join(chunking, ordered, OrderKeeper() if follows else None)
    chunks = map(partial(_CUTS[chunking.edges], stream, chunking), itertools.count())
    estimated = _estimate_batches(estimate, _batches(chunks, batch_size))
    for batch, estimates in read_ahead(estimated) if ahead else estimated:
        for member, own in zip(batch, estimates.chunk(len(batch)), strict=True):
            # Chunks that begin before the track finish no sample at first.
            if (done := glue.add(member, own)).shape[-1]:
                yield done


def _estimate_batches(
    estimate: Estimate, batches: Iterable[list[_Chunk]]
) -> Iterator[tuple[list[_Chunk], Tensor]]:
    for batch in batches:
        yield batch, estimate(torch.cat([chunk.mixture for chunk in batch]))


@dataclass(frozen=True)
class _Chunk:
    """A piece of the mixture, and positions in the track: of the piece, of its core, of the next core."""

    mixture: Tensor
    start: int
    core_start: int
    core_stop: int
    next_start: int
    last: bool


def _batches(chunks: Iterable[_Chunk], batch_size: int) -> Iterator[list[_Chunk]]:
    """Chunks of one length, at most so many at once; the last chunk is alone."""
    waiting: list[_Chunk] = []
    for chunk in chunks:
        if waiting and (chunk.last or chunk.mixture.shape != waiting[0].mixture.shape):
            yield waiting
            waiting = []
        waiting.append(chunk)
        if chunk.last or len(waiting) == batch_size:
            yield waiting
            waiting = []
        if chunk.last:
            return


def _cut_signal(stream: _Stream, chunking: Chunking, index: int) -> _Chunk:
    start = index * chunking.step
    stop = start + chunking.length
    core_start = start + chunking.trim if index else 0
    next_start = start + chunking.step + chunking.trim
    last = not stream.reaches(stop + 1)
    if not last:
        stream.forget(start - chunking.step)
        mixture = stream.read(start, stop)
        return _Chunk(mixture, start, core_start, stop - chunking.trim, next_start, last)
    # The last chunk reaches back to the full length: more context, same grid.
    start = min(start, stream.stop - chunking.last(stream.stop))
    return _Chunk(stream.read(start, stream.stop), start, core_start, stream.stop, next_start, last)


def _cut_padded(stream: _Stream, chunking: Chunking, index: int) -> _Chunk:
    core_start = index * chunking.step
    core_stop = core_start + chunking.step + chunking.overlap
    start = core_start - chunking.trim
    stream.reaches(start + chunking.length)
    last = not stream.reaches(core_stop + 1)
    stream.forget(start)
    mixture = stream.read(start, start + chunking.length)
    core_end = min(core_stop, stream.stop) if last else core_stop
    return _Chunk(mixture, start, core_start, core_end, core_start + chunking.step, last)


def _cut_zeros(stream: _Stream, chunking: Chunking, index: int) -> _Chunk:
    core_start = index * chunking.step
    core_stop = core_start + chunking.step + chunking.overlap
    last = not stream.reaches(core_stop + 1)
    stream.forget(core_start)
    mixture = pad(stream.read(core_start, core_stop), (chunking.trim, chunking.trim))
    core_end = min(core_stop, stream.stop) if last else core_stop
    start = core_start - chunking.trim
    return _Chunk(mixture, start, core_start, core_end, core_start + chunking.step, last)


def _cut_centered(stream: _Stream, chunking: Chunking, index: int) -> _Chunk:
    core_start, widest = index * chunking.step, chunking.input_length
    next_start = core_start + chunking.step
    stream.reaches(core_start + widest)
    last = not stream.reaches(next_start + 1)
    core_stop = min(core_start + chunking.length, stream.stop)
    samples = max(1, core_stop - core_start)
    length = chunking.widen(samples)
    start = core_start - (length - samples) // 2
    stream.forget(core_start - widest)
    return _Chunk(stream.read(start, start + length), start, core_start, core_stop, next_start, last)


def _cut_shares(stream: _Stream, chunking: Chunking, index: int) -> _Chunk:
    start = index * chunking.step - chunking.lead
    stop = start + chunking.length
    # Frames of the next chunk begin a step later.
    last = not stream.reaches(start + chunking.step + 1)
    stream.reaches(stop)
    stream.forget(start)
    core_stop = min(stop, stream.stop) if last else stop
    mixture = stream.read(start, stop)
    return _Chunk(mixture, start, max(start, 0), core_stop, start + chunking.step, last)


def _cut_mirrored(stream: _Stream, chunking: Chunking, index: int) -> _Chunk:
    border, length = chunking.overlap, chunking.length
    # The decision of the first chunk is that of all: later ones see no fewer samples.
    mirrors = stream.reaches(2 * border + 1) and border > 0
    start = index * chunking.step - (border if mirrors else 0)
    next_start = start + chunking.step
    last = not stream.reaches(next_start + 1)
    whole = stream.reaches(start + length)
    stream.forget(start - length)
    if whole:
        positions = torch.arange(start, start + length).abs()
    else:
        positions = _mirrored(start, length, stream.stop - 1, border if mirrors else 0)
    mixture = stream.take(positions)
    core_stop = start + length if whole else min(start + length, stream.stop)
    mixture = pad(mixture, (0, length + chunking.padding - mixture.shape[-1]))
    return _Chunk(mixture, start, max(start, 0), core_stop, next_start, last)


def _mirrored(start: int, length: int, end: int, border: int) -> Tensor:
    """Positions within a track of the samples of a chunk that may reach beyond its last sample, `end`.

    The track is mirrored by `border` samples, and the chunk once more at the end of these, if more than half
    of it lies before.
    """
    positions = torch.arange(start, start + length)
    edge = end + border
    if edge + 1 - start <= length // 2:
        positions = positions[positions <= edge]
    positions = torch.where(positions > edge, 2 * edge - positions, positions)
    positions = torch.where(positions > end, 2 * end - positions, positions)
    return positions.abs().clamp(max=end)


_CUTS = {
    "signal": _cut_signal,
    "padded": _cut_padded,
    "zeros": _cut_zeros,
    "shares": _cut_shares,
    "centered": _cut_centered,
    "mirrored": _cut_mirrored,
}


class _Stream:
    """Window of a stream of blocks, addressed by the position in the track."""

    def __init__(self, blocks: Iterable[Tensor], outside: float) -> None:
        self._blocks = iter(blocks)
        self._outside = outside
        self._held: list[Tensor] = []
        self._start = 0
        self.stop = 0

    def reaches(self, position: int) -> bool:
        """Read up to `position` samples; False if the stream ends before."""
        while self.stop < position:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._held.append(block)
            self.stop += block.shape[-1]
        return True

    def forget(self, position: int) -> None:
        """Drop samples before `position`."""
        while self._held and self._start + self._held[0].shape[-1] <= position:
            self._start += self._held.pop(0).shape[-1]

    def read(self, start: int, stop: int) -> Tensor:
        """The samples from `start` to `stop`, a constant outside of the track."""
        pieces, position = [], self._start
        for block in self._held:
            low, high = max(start - position, 0), min(stop - position, block.shape[-1])
            if low < high:
                pieces.append(block[..., low:high])
            position += block.shape[-1]
        if not pieces:
            raise UsageError("the mixture has no samples")
        margins = max(0, -start), max(0, stop - self.stop)
        return pad(torch.cat(pieces, dim=-1), margins, value=self._outside)

    def take(self, positions: Tensor) -> Tensor:
        """The samples at positions within the track, in any order."""
        first = int(positions.min())
        return self.read(first, int(positions.max()) + 1)[..., positions - first]


class _Glue:
    """Joins chunks: fades the seam, keeps the order of the sources, returns finished samples."""

    def __init__(self, chunking: Chunking, ordered: bool, keeper: OrderKeeper | None) -> None:
        self._chunking = chunking
        self._ordered = ordered
        self._align_sources = align_sources if keeper is None else keeper.align
        self._fade_in, self._fade_out = chunking.fade_in(), chunking.fade_out()
        self._tail: Tensor | None = None
        self._previous: tuple[int, Tensor] | None = None

    def add(self, chunk: _Chunk, estimates: Tensor) -> Tensor:
        """Add the estimates of a chunk; return samples that no later chunk changes."""
        if not self._ordered:
            estimates = self._align(chunk.start, estimates)
        core = estimates[..., chunk.core_start - chunk.start : chunk.core_stop - chunk.start]
        overlap = self._chunking.overlap
        fade_in = self._fade_in.to(core)
        if self._tail is not None:
            seam = min(overlap, core.shape[-1])
            head = core[..., :seam] * fade_in[:seam] + self._tail[..., :seam]
            core = torch.cat([head, core[..., seam:]], dim=-1)
        if chunk.last or not overlap:
            return core
        # Near the end of a track, the tail of a centred chunk is shorter than the overlap.
        done = chunk.next_start - chunk.core_start
        tail = core[..., done:]
        self._tail = tail * self._fade_out[: tail.shape[-1]].to(core)
        return core[..., :done]

    def _align(self, start: int, estimates: Tensor) -> Tensor:
        if self._previous is not None:
            before_start, before = self._previous
            low, high = max(start, before_start), before_start + before.shape[-1]
            if low < high:
                anchor = before[..., low - before_start :]
                estimates = self._align_sources(estimates, anchor, slice(low - start, high - start))
        self._previous = (start, estimates)
        return estimates


class _Pile(_Glue):
    """Joins chunks of which several cover each sample: sums them by weights, and returns finished samples."""

    def __init__(self, chunking: Chunking, ordered: bool, keeper: OrderKeeper | None) -> None:
        super().__init__(chunking, ordered, keeper)
        self._window = chunking.window()
        self._fade = min(chunking.length // 10, chunking.overlap)
        self._position = 0
        self._total: Tensor | None = None
        self._weight: Tensor | None = None

    def add(self, chunk: _Chunk, estimates: Tensor) -> Tensor:
        """Add the estimates of a chunk; return samples that no later chunk changes."""
        if not self._ordered:
            estimates = self._align(chunk.start, estimates)
        inside = slice(chunk.core_start - chunk.start, chunk.core_stop - chunk.start)
        weight = self._weights(chunk)[inside].to(estimates)
        total = estimates[..., inside] * weight
        if self._total is not None and self._weight is not None:
            held = self._total.shape[-1]
            more = max(0, held - total.shape[-1])
            total, weight = pad(total, (0, more)), pad(weight, (0, more))
            total[..., :held] += self._total
            weight[:held] += self._weight
        done = total.shape[-1] if chunk.last else max(chunk.next_start, 0) - self._position
        self._position += done
        self._total, self._weight = total[..., done:], weight[done:]
        return total[..., :done] / weight[:done]

    def _weights(self, chunk: _Chunk) -> Tensor:
        """Weights of a chunk, without a fade at the ends of a track where no other chunk is."""
        weights = self._window
        if chunk.start == 0 and self._total is None:
            weights = weights.clone()
            weights[: self._fade] = 1.0
        if chunk.last:
            weights = weights.clone()
            weights[-self._fade :] = 1.0
        return weights
