"""Stems of streams through causal separators, at the rate of the recording and with a latency."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from einops import rearrange

from soloist.audio import Audio, SampleQueue, ShortResampler
from soloist.errors import UsageError
from soloist.inference.engines.step_engines import StepEngine
from soloist.inference.stem_selection import StemSelection
from soloist.separators import Denoiser, DenoiserStream, FrameStream, Separator, SeparatorStream

DEFAULT_LATENCY = 0.04
"""Seconds that steps of several frames may fill, where no latency is asked for."""


class CausalStream:
    """Stems of a stream through a causal separator, block by block.

    Args:
        separator: The separator, or a denoiser with it.
        engine: Engine of its steps.
        sample_rate: Rate of the stream, Hz.
        channels: Channels of the stream.
        selection: Selected stems.
        latency: Most seconds that the stems may be behind; None for 40 ms, or what the separator needs.

    Attributes:
        latency: Most samples that the stems are behind.

    Raises:
        UsageError: The separator needs more time.
    """

    def __init__(
        self,
        separator: Separator,
        engine: StepEngine,
        sample_rate: int,
        channels: int,
        selection: StemSelection,
        latency: float | None,
    ) -> None:
        self._sources, self._selection = separator.sources, selection

        def make(frames: int) -> SeparatorStream:
            groups = -(-channels // engine.separator.channels)
            run = engine.run(groups, frames)
            inner = FrameStream(engine.separator, engine.step, run, channels, frames)
            if isinstance(separator, Denoiser):
                return DenoiserStream(separator, inner)
            return _at_rate(inner, separator, sample_rate, channels)

        self._stream = make(_choose_frames(separator, engine, sample_rate, channels, latency))
        self.latency = self._stream.latency
        self._mixture = SampleQueue()

    def push(self, block: Audio | None) -> list[Audio]:
        """Take the next block `(channels, samples)`, or None for the end.

        Returns:
            Finished stems `(stems, channels, samples)`.
        """
        if block is not None:
            self._mixture.put(block)
        estimates = self._stream.finish() if block is None else self._stream.push(block)
        # Rounding up twice may give a sample too many.
        estimates = estimates[..., : self._mixture.available]
        if not estimates.shape[-1]:
            return []
        mixture = self._mixture.take(estimates.shape[-1])
        return [self._selection.select(mixture, estimates, self._sources)]

    def close(self) -> None:
        """End the stream without the rest."""


def _choose_frames(
    separator: Separator, engine: StepEngine, sample_rate: int, channels: int, latency: float | None
) -> int:
    """Most frames of a step that keep to a latency, in periods of the network if there is a whole one."""
    step, rate = engine.step, engine.separator.sample_rate
    ahead = 0.0
    if sample_rate != rate:
        ahead = ShortResampler(sample_rate, rate, 1).ahead / sample_rate
        ahead += ShortResampler(rate, sample_rate, 1).ahead / rate
    least = math.ceil(1000 * (ahead + step.latency(1) / rate))
    asked = DEFAULT_LATENCY if latency is None else latency
    more = int(((asked - ahead) * rate - step.latency(1)) // step.hop_length)
    if more < 0 and latency is not None:
        raise UsageError(f"a latency of {1000 * latency:g} ms is too short: the model needs {least} ms")
    frames = 1 + max(0, more)
    return frames // step.period * step.period or frames


def _at_rate(inner: FrameStream, separator: Separator, sample_rate: int, channels: int) -> SeparatorStream:
    if sample_rate == separator.sample_rate:
        return inner
    return _ResampledStream(inner, separator, sample_rate, channels)


class _ResampledStream:
    """Stream at another rate than the separator's; see `SeparatorStream`."""

    def __init__(self, inner: FrameStream, separator: Separator, sample_rate: int, channels: int) -> None:
        rate, self._count = separator.sample_rate, len(separator.sources)
        self._inner = inner
        self._down = ShortResampler(sample_rate, rate, channels)
        self._up = ShortResampler(rate, sample_rate, self._count * channels)
        behind = (inner.latency + self._up.ahead) * sample_rate
        self.latency = self._down.ahead + -(-behind // rate)

    def push(self, audio: Audio) -> Audio:
        """Finished estimates `(sources, channels, samples)`."""
        return self._rise(self._inner.push(self._down.process(audio)), self._up.process)

    def finish(self) -> Audio:
        """The rest of the estimates `(sources, channels, samples)`."""
        rest = [self._inner.push(self._down.flush()), self._inner.finish()]
        return self._rise(
            np.concatenate(rest, axis=-1),
            lambda block: np.concatenate([self._up.process(block), self._up.flush()], axis=-1),
        )

    def _rise(self, estimates: Audio, resample: Callable[[Audio], Audio]) -> Audio:
        folded = resample(rearrange(estimates, "s c t -> (s c) t"))
        return rearrange(folded, "(s c) t -> s c t", s=self._count)
