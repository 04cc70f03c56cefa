"""Streaming resampling with exact alignment and length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from soloist.audio.blocks import Audio
from soloist.errors import UsageError


class StreamResampler:
    """Block-by-block resampler: soxr at very high quality.

    The output has no delay: sample `n` is the signal at `n / target_rate` seconds of the input. The output
    does not depend on the lengths of the blocks.

    Args:
        source_rate: Rate of the input, Hz.
        target_rate: Rate of the output, Hz.
        channels: Number of channels.

    Raises:
        UsageError: A rate or the number of channels is not positive.
    """

    def __init__(self, source_rate: int, target_rate: int, channels: int) -> None:
        if min(source_rate, target_rate, channels) < 1:
            raise UsageError(
                f"rates ({source_rate} and {target_rate} Hz) and channels ({channels}) must be positive"
            )
        self.source_rate = source_rate
        self.target_rate = target_rate
        self.channels = channels
        self._received = 0
        self._emitted = 0
        self._stream = self._open()

    @staticmethod
    def output_length(samples: int, source_rate: int, target_rate: int) -> int:
        """Samples of output for `samples` of input: `ceil(samples * target / source)`.

        Because of the rounding up, resampling there and back never shortens a signal: a cut of the result has
        exactly the original length.
        """
        return -(-samples * target_rate // source_rate)

    def process(self, block: Audio) -> Audio:
        """Resample the next block `(channels, samples)`; the result may be short or empty."""
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise UsageError(f"a block must be ({self.channels}, samples), not {block.shape}")
        self._received += block.shape[1]
        return self._limit(self._run(block, last=False))

    def flush(self) -> Audio:
        """Return the remaining samples `(channels, samples)` and start anew for another signal."""
        # soxr rounds the total length to the nearest sample; silence at the end prevents a rounding down.
        beyond = np.zeros((self.channels, -(-self.source_rate // self.target_rate)), np.float32)
        rest = self._limit(self._run(beyond, last=True))
        self._received = self._emitted = 0
        self._stream = self._open()
        return rest

    def _open(self) -> soxr.ResampleStream | None:
        if self.source_rate == self.target_rate:
            return None
        return soxr.ResampleStream(
            self.source_rate, self.target_rate, self.channels, dtype="float32", quality="VHQ"
        )

    def _run(self, block: Audio, *, last: bool) -> Audio:
        if self._stream is None:
            return block
        frames = np.ascontiguousarray(block.T, dtype=np.float32)
        return np.ascontiguousarray(self._stream.resample_chunk(frames, last=last).T)

    def _limit(self, block: Audio) -> Audio:
        total = self.output_length(self._received, self.source_rate, self.target_rate)
        block = block[:, : total - self._emitted]
        self._emitted += block.shape[1]
        return block


def resample_blocks(blocks: Iterable[Audio], source_rate: int, target_rate: int) -> Iterator[Audio]:
    """Resample a stream of blocks `(channels, samples)` to another rate (Hz), aligned to the sample."""
    if source_rate == target_rate:
        yield from blocks
        return
    resampler = None
    for block in blocks:
        resampler = resampler or StreamResampler(source_rate, target_rate, block.shape[0])
        converted = resampler.process(block)
        if converted.shape[1]:
            yield converted
    if resampler is not None:
        yield resampler.flush()


def resample_audio(audio: Audio, source_rate: int, target_rate: int) -> Audio:
    """Resample audio `(channels, samples)` to `StreamResampler.output_length` samples."""
    resampler = StreamResampler(source_rate, target_rate, audio.shape[0])
    return np.concatenate([resampler.process(audio), resampler.flush()], axis=1)
