"""Streams through causal separators, some frames at a time, with their memory carried over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray

from soloist.audio import Audio
from soloist.audio.sample_queue import SampleQueue
from soloist.separators.filterbank_separator import FilterbankSeparator
from soloist.separators.frame_step import FrameStep
from soloist.separators.level import Level
from soloist.separators.spectral_separator import SpectralSeparator

Arrays = Sequence[NDArray[np.float32]]

RunStep = Callable[[Arrays], Arrays]
"""Runs a `FrameStep`: samples and memory to estimates and memory, none of which it keeps."""


class SeparatorStream(Protocol):
    """Separates a stream at the separator's rate, in blocks of any length.

    Attributes:
        latency: Most samples that the estimates are behind the mixture.
    """

    latency: int

    def push(self, audio: Audio) -> Audio:
        """Finished estimates `(sources, channels, samples)` after the next samples `(channels, samples)`."""
        ...

    def finish(self) -> Audio:
        """The rest of the estimates `(sources, channels, samples)`, at the end of the stream."""
        ...


def run_step(step: FrameStep) -> RunStep:
    """Run a step in PyTorch, for any number of frames."""

    @torch.inference_mode()
    def run(arrays: Arrays) -> Arrays:
        return [output.numpy() for output in step(*map(torch.from_numpy, arrays))]

    return run


class FrameStream:
    """Stream through a causal separator; see `SeparatorStream`.

    The estimates are those of the whole recording at once. A separator that is normalised by the track gets
    the level of the recording so far.

    Args:
        separator: The separator.
        step: Its step.
        run: Runs the step.
        channels: Channels of the stream: groups of the separator's channels are streams of their own, and the
            last channel is repeated up to the next multiple.
        frames: Frames of a step.
    """

    def __init__(
        self,
        separator: FilterbankSeparator | SpectralSeparator,
        step: FrameStep,
        run: RunStep,
        channels: int,
        frames: int,
    ) -> None:
        self.latency = step.latency(frames)
        self._step, self._run, self._frames = step, run, frames
        self._channels, self._group = channels, separator.channels
        self._sources = len(separator.sources)
        self._multiple, self._mixture = step.hop_length, None
        if isinstance(separator, FilterbankSeparator):
            self._multiple = separator.pad_multiple
            self._mixture = SampleQueue() if separator.consistency else None
        self._level = _RunningLevel(separator.mean_share) if separator.normalization == "track" else None
        codec = step.codec
        self._first = codec.frame_length - step.hop_length
        # Samples that the first frame needs before it, and that the mirrored ones are made of.
        self._needed = max(codec.lead + 1 if codec.mirrors else 1, self._first - codec.lead)
        self._memory: Arrays | None = None
        self._pending = self._recent = np.zeros((self._groups, self._group, 0), np.float32)
        self._received = self._done = 0
        self._position = -codec.synthesis_lead

    @property
    def _groups(self) -> int:
        return -(-self._channels // self._group)

    def push(self, audio: Audio) -> Audio:
        """Finished estimates `(sources, channels, samples)` after the next samples `(channels, samples)`."""
        self._take(audio)
        if self._memory is None and self._pending.shape[-1] >= self._needed:
            self._begin()
        samples, outputs = self._frames * self._step.hop_length, []
        while self._memory is not None and self._pending.shape[-1] >= samples:
            outputs.append(self._advance(self._run, self._frames))
        return self._finished(outputs)

    def finish(self) -> Audio:
        """The rest of the estimates `(sources, channels, samples)`, at the end of the stream."""
        received, codec = self._received, self._step.codec
        if not received:
            return self._finished([])
        self._take(np.zeros((self._channels, max(0, codec.shortest - received)), np.float32))
        total = -(-self._received // self._multiple) * self._multiple
        count = codec.count_frames(total)
        self._extend((count - 1) * codec.hop_length + codec.frame_length - codec.lead - self._received)
        outputs = []
        if count > self._done:
            self._pending = self._pending[..., : (count - self._done) * codec.hop_length]
            # The last frames are no whole step.
            outputs.append(self._advance(run_step(self._step), count - self._done))
        memory = tuple(map(torch.from_numpy, self._memory or ()))
        outputs.append(self._restore(self._step.flush(memory).numpy()))
        self._position += outputs[-1].shape[-1]
        return self._finished(outputs, received)

    def _take(self, audio: Audio) -> None:
        """Append samples `(channels, samples)` to those that wait."""
        if self._mixture is not None:
            self._mixture.put(audio)
        self._received += audio.shape[1]
        copies = self._groups * self._group - self._channels
        audio = np.concatenate([audio, *[audio[-1:]] * copies]) if copies else audio
        grouped = rearrange(audio, "(g c) t -> g c t", c=self._group)
        self._pending = np.concatenate([self._pending, grouped], axis=-1)
        most = self._step.codec.frame_length + self._step.hop_length
        self._recent = np.concatenate([self._recent, grouped], axis=-1)[..., -most:]

    def _begin(self) -> None:
        """Begin with the frame that reaches farthest before the recording."""
        codec = self._step.codec
        nearest = self._pending[..., : codec.lead + 1]
        before = _extended(nearest, codec.lead, 0, mirrored=codec.mirrors)[..., : codec.lead]
        whole = np.concatenate([before, self._pending], axis=-1)
        first = whole[..., : self._first].copy()
        if self._level is not None and codec.mirrors:
            first = self._level.normalize(first)
        self._memory = [part.numpy() for part in self._step.begin(torch.from_numpy(first))]
        self._pending = whole[..., self._first :]

    def _extend(self, samples: int) -> None:
        """Append what lies beyond the end, and begin if the recording was too short for that."""
        beyond = _extended(self._recent, 0, max(0, samples), mirrored=self._step.codec.mirrors)
        if self._memory is None:
            self._begin()
        self._pending = np.concatenate([self._pending, beyond[..., self._recent.shape[-1] :]], axis=-1)

    def _advance(self, run: RunStep, frames: int) -> Audio:
        """Take a step; return its finished samples `(groups, sources, group, samples)`."""
        samples = frames * self._step.hop_length
        now, self._pending = self._pending[..., :samples], self._pending[..., samples:]
        if self._level is not None:
            now = self._level.normalize(now)
        estimates, *self._memory = run([np.ascontiguousarray(now), *(self._memory or ())])
        self._done += frames
        self._position += samples
        return self._restore(estimates)

    def _restore(self, estimates: Audio) -> Audio:
        return estimates if self._level is None else self._level.restore(estimates)

    def _finished(self, outputs: Sequence[Audio], end: int | None = None) -> Audio:
        """Join outputs of steps, drop what lies beyond the recording, and make them consistent."""
        nothing = np.zeros((self._groups, self._sources, self._group, 0), np.float32)
        joined = np.concatenate([nothing, *outputs], axis=-1)
        begun = self._position - joined.shape[-1]
        joined = joined[..., max(0, -begun) : None if end is None else max(0, end - begun)]
        estimates = rearrange(joined, "g s c t -> s (g c) t")
        if len(estimates[0]) > self._channels:
            last = estimates[:, self._channels - 1 :].mean(axis=1, keepdims=True)
            estimates = np.concatenate([estimates[:, : self._channels - 1], last], axis=1)
        if self._mixture is not None and estimates.shape[-1]:
            residual = self._mixture.take(estimates.shape[-1]) - estimates.sum(axis=0)
            estimates = estimates + residual / self._sources
        return estimates


def _extended(audio: Audio, before: int, behind: int, *, mirrored: bool) -> Audio:
    """Audio `(groups, channels, samples)` with so many samples before and behind, mirrored ones or zeros."""
    widths = [(0, 0), (0, 0), (before, behind)]
    return np.pad(audio, widths, mode="reflect") if mirrored else np.pad(audio, widths)


class _RunningLevel:
    """Level of a recording so far, in place of that of the whole, which is not known yet."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._count, self._mean, self._deviation = 0, 0.0, Level.floor
        self._total = self._squares = 0.0

    def normalize(self, audio: Audio) -> Audio:
        """Bring the next samples `(groups, channels, samples)` to zero mean and unit deviation."""
        mono = audio.mean(axis=(0, 1), dtype=np.float64)
        self._count += mono.size
        self._total += float(mono.sum())
        self._squares += float(mono @ mono)
        self._mean = self._total / self._count
        variance = self._squares / self._count - self._mean**2
        self._deviation = max(0.0, variance) ** 0.5 + Level.floor
        return ((audio - self._mean) / self._deviation).astype(np.float32)

    def restore(self, estimates: Audio) -> Audio:
        """Bring estimates back to the level of the mixture."""
        return (estimates * self._deviation + self._share * self._mean).astype(np.float32)
