"""Latency of streams that are separated in chunks, and the chunks for a latency."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np

from soloist.audio import StreamResampler
from soloist.errors import UsageError
from soloist.inference.stream import StreamSettings
from soloist.separators import Chunking, CompositeSeparator, Separator
from soloist.separators.composite_separator import leaves

_BLOCK = 64
_SECONDS = 3
"""Length of the silence by which the delay of a resampler is measured, s."""


def chunk_latency(separator: Separator, settings: StreamSettings, sample_rate: int) -> float:
    """Most seconds that the estimates of a stream are behind it.

    An estimate waits for the end of its chunk, and for the resamplers. The parts of a composite separator
    count as if each waited for the one before.

    Args:
        separator: The separator.
        settings: Chunks, overlap, shifts.
        sample_rate: Rate of the stream, Hz.
    """
    parts = list(leaves(separator)) if isinstance(separator, CompositeSeparator) else [separator]
    rates = [sample_rate, separator.sample_rate, *(part.sample_rate for part in parts)]
    there_and_back = sum(
        resampler_delay(one, other) + resampler_delay(other, one) for one, other in pairwise(rates)
    )
    shifts = max(settings.delays(separator.sample_rate)) / separator.sample_rate
    return there_and_back + sum(_chunk_seconds(part, settings) for part in parts) + shifts


def _chunk_seconds(separator: Separator, settings: StreamSettings) -> float:
    chunking = settings.chunking(separator)
    # A chunk is separated when the sample behind it has come; mirrored ones begin when all can be mirrored.
    return (max(chunking.input_length, 2 * chunking.overlap) + 1) / separator.sample_rate


@cache
def resampler_delay(source_rate: int, target_rate: int) -> float:
    """Most seconds that the output of a `StreamResampler` is behind its input, measured on silence."""
    if source_rate == target_rate:
        return 0.0
    resampler = StreamResampler(source_rate, target_rate, 1)
    received = given = 0
    behind = 0.0
    for _ in range(_SECONDS * source_rate // _BLOCK):
        received += _BLOCK
        behind = max(behind, received / source_rate - given / target_rate)
        given += resampler.process(np.zeros((1, _BLOCK), np.float32)).shape[1]
    return behind


def settings_for_latency(
    separator: Separator, settings: StreamSettings, sample_rate: int, latency: float
) -> StreamSettings:
    """Settings with the longest chunks that keep to a latency.

    Args:
        separator: The separator.
        settings: Settings whose chunks are replaced.
        sample_rate: Rate of the stream, Hz.
        latency: Most seconds that the estimates may be behind.

    Raises:
        UsageError: The separator needs more time.
    """
    parts = list(leaves(separator)) if isinstance(separator, CompositeSeparator) else [separator]
    usual = chunk_latency(separator, settings, sample_rate)
    if usual <= latency:
        return settings
    waiting = usual - sum(_chunk_seconds(part, settings) for part in parts)
    wanted = (latency - waiting) / len(parts) - 1 / min(part.sample_rate for part in parts)
    least = waiting + sum(_least_chunk(part) for part in parts)
    if wanted > 0:
        shorter = replace(settings, chunk=wanted, batch_size=1)
        try:
            reached = chunk_latency(separator, shorter, sample_rate)
        except UsageError:
            reached = least
        if reached <= latency:
            return shorter
        least = max(least, reached)
    raise UsageError(
        f"a latency of {1000 * latency:g} ms is too short: the model needs {1000 * least:.0f} ms"
    )


def _least_chunk(separator: Separator) -> float:
    """Seconds of the shortest chunk of a separator, to within the grid of its chunks."""
    if separator.partition is not None or separator.cutting is not None:
        return Chunking.of(separator).input_length / separator.sample_rate
    return max(separator.minimum_length, 2 * separator.stride) / separator.sample_rate
