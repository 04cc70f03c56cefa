"""Separation of a stream of audio at any rate and channel count, block by block."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from soloist.audio import Audio, SampleQueue, resample_blocks, share_blocks
from soloist.errors import UsageError
from soloist.estimation import OrderKeeper, align_sources
from soloist.inference.composite_streams import combine_streams
from soloist.inference.engines import CompositeEngine, Engine, make_engine
from soloist.separators import Chunking, CompositeSeparator, Level, Note, Separator, separate_blocks
from soloist.separators.chunk_estimator import make_estimate, outside_of
from soloist.separators.composite_separator import beyond_rate

SHIFT_SECONDS = 0.5
"""Largest shift of a pass before the start of the track, s, as in Demucs."""


@dataclass(frozen=True)
class StreamSettings:
    """Chunks, overlap, shifts and batches of a separation.

    Attributes:
        chunk: Seconds of a chunk; None for the separator's best.
        overlap: Part of a chunk shared with the next one, in [0, 0.5]; None for the separator's best.
        shifts: Number of passes over shifted input that are averaged.
        batch_size: Chunks estimated at once; None for one, or the calibrated number.
        shift_seed: Seed of random shifts; None for evenly spaced shifts, the first of which is none.
    """

    chunk: float | None = None
    overlap: float | None = None
    shifts: int = 1
    batch_size: int | None = None
    shift_seed: int | None = None

    def __post_init__(self) -> None:
        if self.shifts < 1 or (self.batch_size is not None and self.batch_size < 1):
            raise UsageError(f"shifts {self.shifts} and batch size {self.batch_size} must be at least 1")
        if self.chunk is not None and not self.chunk > 0:
            raise UsageError(f"chunk {self.chunk:g} s must be longer than 0 s")

    def chunking(self, separator: Separator) -> Chunking:
        """The chunking of a separator by these settings."""
        length = None if self.chunk is None else max(1, round(self.chunk * separator.sample_rate))
        return Chunking.of(separator, length=length, overlap=self.overlap)

    def recorded(self) -> dict[str, Any]:
        """Settings that change samples; without a seed that is not given, as in earlier versions."""
        values = {**asdict(self), "batch_size": None}
        return {key: value for key, value in values.items() if key != "shift_seed" or value is not None}

    def delays(self, sample_rate: int) -> list[int]:
        """Samples by which each pass begins before the track, up to `SHIFT_SECONDS`."""
        most = round(SHIFT_SECONDS * sample_rate)
        if self.shift_seed is None:
            return [round(most * index / self.shifts) for index in range(self.shifts)]
        return np.random.default_rng(self.shift_seed).integers(0, most + 1, self.shifts).tolist()


def separate_stream(
    separator: Separator,
    blocks: Iterable[Audio],
    sample_rate: int,
    *,
    engine: Engine | None = None,
    level: Level | None = None,
    settings: StreamSettings | None = None,
    note: Note | None = None,
    heard: Callable[[float], None] | None = None,
    ahead: bool = False,
) -> Iterator[tuple[Audio, Audio]]:
    """Separate blocks of audio of any rate and channel count; memory does not depend on the length.

    Args:
        separator: The separator.
        blocks: Consecutive blocks `(channels, samples)`, float32.
        sample_rate: Rate of the blocks, Hz.
        engine: Runs the separator; PyTorch on the best device by default.
        level: Level of the whole track, for a separator normalised by the track (`measure_level`).
        settings: Chunks, overlap, shifts, batches.
        note: Callback that receives the clustering confidence of each chunk.
        heard: Callback that receives the seconds of each block that a part of a composite separator, or the
            separator itself, has taken.
        ahead: Run the network in a thread that is up to two batches ahead; one pass over one separator alone.

    Yields:
        Pairs of a block of the mixture `(channels, samples)` and its estimates
        `(sources, channels, samples)`: aligned, at the rate and of the total length of the input.
    """
    settings = settings or StreamSettings()
    engine = engine or make_engine("torch", separator)
    memory = _Memory(blocks)
    at_model_rate = resample_blocks(iter(memory), sample_rate, separator.sample_rate)
    if isinstance(separator, CompositeSeparator) and isinstance(engine, CompositeEngine):
        estimates = _combine(separator, engine, at_model_rate, level, settings, note, heard)
    else:
        at_model_rate = _count(at_model_rate, separator.sample_rate, heard)
        begin = partial(_Pass, separator, engine, level, settings, note, ahead and settings.shifts == 1)
        passes = _average_shifts(begin, _to_tensors(at_model_rate), separator, settings)
        estimates = (block[0].numpy() for block in passes)
    pairs = _pair(memory, estimates, separator, sample_rate)
    whole = separator.remainder if isinstance(separator, CompositeSeparator) else None
    if whole is not None and separator.sample_rate < sample_rate:
        pairs = _add_beyond(pairs, separator.sources.index(whole), sample_rate, separator.sample_rate)
    yield from pairs


def _pair(
    memory: _Memory, estimates: Iterable[Audio], separator: Separator, sample_rate: int
) -> Iterator[tuple[Audio, Audio]]:
    """Pairs of a block of the mixture and its estimates, at the rate of the mixture."""
    folded = (rearrange(block, "s c t -> (s c) t") for block in estimates)
    for block in resample_blocks(folded, separator.sample_rate, sample_rate):
        # The resampler may return a few samples too many.
        mixture = memory.take(min(block.shape[1], memory.available))
        if mixture.shape[1]:
            stems = block[:, : mixture.shape[1]]
            yield mixture, rearrange(stems, "(s c) t -> s c t", s=len(separator.sources))
    if memory.available:
        mixture = memory.take(memory.available)
        yield mixture, np.zeros((len(separator.sources), *mixture.shape), np.float32)


def _add_beyond(
    pairs: Iterator[tuple[Audio, Audio]], place: int, sample_rate: int, lower_rate: int
) -> Iterator[tuple[Audio, Audio]]:
    """Add to one of the estimates what a lower rate cannot hold of the mixture."""
    waiting: deque[tuple[Audio, Audio]] = deque()

    def mixtures() -> Iterator[Audio]:
        for pair in pairs:
            waiting.append(pair)
            yield pair[0]

    held = np.zeros((0, 0), np.float32)
    for block in beyond_rate(mixtures(), sample_rate, lower_rate):
        held = np.concatenate([held, block], axis=-1) if held.size else block
        while waiting and held.shape[-1] >= waiting[0][0].shape[-1]:
            mixture, estimates = waiting.popleft()
            estimates[place] += held[:, : mixture.shape[-1]]
            held = held[:, mixture.shape[-1] :]
            yield mixture, estimates
    for mixture, estimates in waiting:
        # The resampler may return a few samples too few.
        samples = min(held.shape[-1], mixture.shape[-1])
        estimates[place, :, :samples] += held[:, :samples]
        held = held[:, samples:]
        yield mixture, estimates


def _combine(
    separator: CompositeSeparator,
    engine: CompositeEngine,
    blocks: Iterable[Audio],
    level: Level | None,
    settings: StreamSettings,
    note: Note | None,
    heard: Callable[[float], None] | None,
) -> Iterator[Audio]:
    """Estimates of a composite separator; each part has chunks, shifts and a level as if it were alone."""

    def separate(place: int, stream: Iterable[Audio], level: Level | None) -> Iterator[Audio]:
        part, running = separator.parts[place], engine.part(place)
        pairs = separate_stream(
            part,
            stream,
            separator.sample_rate,
            engine=running,
            level=level,
            settings=settings,
            note=note,
            heard=heard,
        )
        yield from (estimates for _, estimates in pairs)
        # Nothing but the engine may hold the weights that it releases.
        del pairs, running
        engine.release(place)

    return combine_streams(separator, blocks, separate, level, measure_level)


def _count(
    blocks: Iterable[Audio], sample_rate: int, heard: Callable[[float], None] | None
) -> Iterator[Audio]:
    """Pass blocks on and report the seconds of each."""
    for block in blocks:
        yield block
        if heard is not None:
            heard(block.shape[1] / sample_rate)


def measure_level(blocks: Iterable[Audio]) -> Level:
    """Level of a whole track from its blocks `(channels, samples)`."""
    count, total, squares = 0, 0.0, 0.0
    for block in blocks:
        mono = block.mean(axis=0, dtype=np.float64)
        count += mono.size
        total += float(mono.sum())
        squares += float(mono @ mono)
    mean = total / max(1, count)
    variance = max(0.0, squares - count * mean**2) / max(1, count - 1)
    shape = (1, 1, 1)
    return Level(torch.full(shape, mean), torch.full(shape, variance**0.5 + Level.floor))


class _Memory(SampleQueue):
    """Passes blocks on, and keeps them until they are taken."""

    def __init__(self, blocks: Iterable[Audio]) -> None:
        super().__init__()
        self._passing = blocks

    def __iter__(self) -> Iterator[Audio]:
        for block in self._passing:
            self.put(block)
            yield block


def _to_tensors(blocks: Iterable[Audio]) -> Iterator[Tensor]:
    for block in blocks:
        yield torch.from_numpy(np.ascontiguousarray(block))[None]


class _Pass:
    """One pass over a stream, beginning `delay` samples early."""

    def __init__(
        self,
        separator: Separator,
        engine: Engine,
        level: Level | None,
        settings: StreamSettings,
        note: Note | None,
        ahead: bool,
        delay: int,
    ) -> None:
        following = engine.follow(note)
        self.follows = following is not None
        self.ordered = separator.ordered
        self.estimate = make_estimate(separator, following or engine, level, follows=self.follows)
        self.chunking = settings.chunking(separator)
        self.batch_size = settings.batch_size or 1
        self.delay, self.ahead = delay, ahead
        self.outside = outside_of(separator, level)
        self._keeper = OrderKeeper()

    def run(self, blocks: Iterator[Tensor]) -> Iterator[Tensor]:
        """Estimates of a track, aligned with the track."""
        separated = separate_blocks(
            self.estimate,
            _delay(blocks, self.delay, self.outside),
            self.chunking,
            batch_size=self.batch_size,
            ordered=self.ordered,
            follows=self.follows,
            outside=self.outside,
            ahead=self.ahead,
        )
        return _drop(separated, self.delay)

    def align(self, estimates: Tensor, first: Tensor) -> Tensor:
        """Order the next estimates as another pass does."""
        if self.ordered:
            return estimates
        if self.follows:
            return self._keeper.align(estimates, first, slice(None))
        return align_sources(estimates, first, slice(None))


def _average_shifts(
    begin: Callable[[int], _Pass], blocks: Iterator[Tensor], separator: Separator, settings: StreamSettings
) -> Iterator[Tensor]:
    """Average passes over the same stream, each of which begins at another shift."""
    passes = [begin(delay) for delay in settings.delays(separator.sample_rate)]
    copies = share_blocks(blocks, settings.shifts)
    streams = [one.run(copy) for one, copy in zip(passes, copies, strict=True)]
    if settings.shifts == 1:
        yield from streams[0]
        return
    length = passes[0].chunking.step
    for first, *others in zip(*(_reblock(stream, length) for stream in streams), strict=True):
        aligned = [one.align(part, first) for one, part in zip(passes[1:], others, strict=True)]
        yield torch.stack([first, *aligned]).mean(dim=0)


def _delay(blocks: Iterator[Tensor], samples: int, value: float) -> Iterator[Tensor]:
    for index, block in enumerate(blocks):
        if index == 0 and samples:
            yield block.new_full((*block.shape[:-1], samples), value)
        yield block


def _drop(blocks: Iterator[Tensor], samples: int) -> Iterator[Tensor]:
    for block in blocks:
        dropped = min(samples, block.shape[-1])
        samples -= dropped
        if dropped < block.shape[-1]:
            yield block[..., dropped:]


def _reblock(blocks: Iterator[Tensor], length: int) -> Iterator[Tensor]:
    """Stream in blocks of one length; the last block may be shorter."""
    held: list[Tensor] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += block.shape[-1]
        while count >= length:
            joined = torch.cat(held, dim=-1)
            yield joined[..., :length]
            held = [joined[..., length:]]
            count -= length
    if count:
        yield torch.cat(held, dim=-1)
