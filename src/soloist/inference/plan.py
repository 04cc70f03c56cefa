"""What separating a file will take, before it is separated."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from soloist.audio import AudioInfo, AudioReader, probe, resample_blocks
from soloist.inference.choice import Choice
from soloist.inference.engines import Engine, Estimate
from soloist.inference.estimation import make_estimate
from soloist.inference.inputs import Track
from soloist.inference.job import FileJob
from soloist.inference.tuning import noise_chunk
from soloist.profiling.memory import available_memory, peak_memory, reset_peak_memory, resident_memory
from soloist.profiling.tensors import peak_tensor_memory
from soloist.separators.base import Level, Note, Separator
from soloist.separators.chunking import Chunking

_EXCERPT = 10.0
"""Seconds of a file whose reading, resampling and writing is timed."""

_SLOW = 4.0
"""Seconds of runs from which on they are not repeated; the first are slower than those of a recording."""


@dataclass(frozen=True)
class Expectation:
    """What separating a file is expected to take.

    Attributes:
        seconds: From reading to the finished stems, with a model that has been loaded.
        memory: The most memory that the process will hold, MB (10^6 bytes).
        available: Memory that it can have, MB; None where the system does not say.
        basis: Where the time of a chunk comes from: `soloist tune`, or a chunk of this file, separated now.
    """

    seconds: float
    memory: float
    available: float | None
    basis: Literal["calibration", "measurement"]

    @property
    def fits(self) -> bool:
        """Whether the memory suffices."""
        return self.available is None or self.memory <= self.available


@dataclass(frozen=True)
class _Cost:
    """What chunks of some kind of file cost: seconds to begin with and for each, MB of the process."""

    start: float
    chunk: float
    memory: float
    basis: Literal["calibration", "measurement"]


class Planner:
    """Says what a job will take for each file.

    What chunks cost comes from the calibration of the model, or else from the first file of each kind.

    Args:
        job: What will be done.
    """

    def __init__(self, job: FileJob) -> None:
        self._job = job
        self._costs: dict[tuple[object, ...], _Cost] = {}
        self._outside: dict[tuple[object, ...], float] = {}

    def expect(self, track: Track) -> Expectation:
        """What separating a file will take.

        Raises:
            AudioError: The file cannot be read.
        """
        job, info = self._job, probe(track.path)
        choice = job.choose(info)
        available = available_memory()
        key = (info.sample_rate, info.channels, choice.engine.name, choice.batch_size)
        if key not in self._costs:
            self._costs[key] = self._calibrated(info, choice) or self._measured(track, info, choice)
        cost = self._costs[key]
        if available is None or cost.memory <= available:
            around = self._around(track, info)
            seconds = cost.start + job.count_chunks(info) * cost.chunk + job.duration_of(info) * around
        else:
            seconds = job.count_chunks(info) * cost.chunk
        return Expectation(seconds, cost.memory, available, cost.basis)

    def _calibrated(self, info: AudioInfo, choice: Choice) -> _Cost | None:
        separator, stream = self._job.separator_for(info), self._job.settings.stream
        asked = stream.batch_size or choice.batch_size
        usual = stream.chunking(separator).length == Chunking.of(separator).length
        short = self._samples(info, separator) < Chunking.of(separator).length
        if not usual or short or choice.trial is None or choice.trial.batch_size != asked:
            return None
        trial, groups = choice.trial, -(-info.channels // separator.channels)
        return _Cost(trial.start, groups * trial.chunk, trial.memory or 0.0, "calibration")

    def _measured(self, track: Track, info: AudioInfo, choice: Choice) -> _Cost:
        """Separate a chunk; where more at once is asked for than a chunk, the rest is a rule of three."""
        separator, stream = self._job.separator_for(info), self._job.settings.stream
        asked = min(stream.chunking(separator).length, max(1, self._samples(info, separator)))
        tried = min(asked, Chunking.of(separator).length)
        batch = min(stream.batch_size or choice.batch_size, self._job.count_chunks(info))
        chunk = self._read_chunk(track, info, separator, tried)
        loaded = peak_memory() or 0.0
        reset_peak_memory()
        before = resident_memory() or loaded
        estimate = _estimate_of(separator, choice.engine, chunk)
        first, again = _time(estimate, chunk)
        memory, longer = max(loaded, peak_memory() or 0.0), asked / tried
        if longer * batch > 1:
            # What the process grew by may be too little: it may have had memory left from before.
            taken = max(memory - before, peak_tensor_memory(partial(estimate, chunk)) / 1e6)
            memory += taken * (longer * batch - 1)
        return _Cost(max(0.0, first - again), again * longer, memory, "measurement")

    def _samples(self, info: AudioInfo, separator: Separator) -> int:
        return round(self._job.duration_of(info) * separator.sample_rate)

    def _read_chunk(self, track: Track, info: AudioInfo, separator: Separator, samples: int) -> Tensor:
        """A chunk from the middle of the excerpt `(1, channels, samples)`; noise where that is silent."""
        seconds = samples / separator.sample_rate
        duration = self._job.duration_of(info)
        start = self._job.settings.start + max(0.0, (duration - seconds) / 2)
        with AudioReader(track.path, start=start, duration=seconds) as reader:
            blocks = list(resample_blocks(reader.blocks(), info.sample_rate, separator.sample_rate))
        chunk = torch.from_numpy(np.concatenate(blocks, axis=1))[None, :, :samples]
        noise = noise_chunk(separator, samples)
        groups = -(-info.channels // separator.channels)
        usable = chunk.shape[-1] == samples and bool(chunk.ne(0).any())
        return chunk if usable else noise.repeat(1, groups, 1)[:, : info.channels]

    def _around(self, track: Track, info: AudioInfo) -> float:
        """Seconds that everything but the engine takes for a second of a file."""
        key = (info.sample_rate, info.channels, track.path.suffix)
        if key not in self._outside:
            duration = min(_EXCERPT, self._job.duration_of(info))
            separator = self._job.separator_for(info)
            with tempfile.TemporaryDirectory(prefix="soloist-") as folder:
                trial = copy.copy(self._job)
                trial.settings = replace(
                    trial.settings, folder=Path(folder), duration=duration, skip_existing=False
                )
                for _ in range(2):  # The first one loads what reads and writes this format.
                    elapsed = trial.run(track, engine=_Idle(separator)).elapsed
            self._outside[key] = elapsed / duration
        return self._outside[key]


class _Idle:
    """An engine that takes no time: each estimate is the mixture."""

    name = "idle"
    device = "cpu"

    def __init__(self, separator: Separator) -> None:
        self._num_sources = len(separator.sources)

    def __call__(self, mixture: Tensor) -> Tensor:
        return mixture[:, None].repeat(1, self._num_sources, 1, 1)

    def follow(self, note: Note | None = None) -> None:
        return None


def _estimate_of(separator: Separator, engine: Engine, chunk: Tensor) -> Estimate:
    following = engine.follow()
    level = Level.of(chunk)
    return make_estimate(separator, following or engine, level, follows=following is not None)


def _time(run: Callable[[Tensor], object], given: Tensor) -> tuple[float, float]:
    """Seconds of a first run, and of a later one, which is only done where the first was quick."""
    seconds = []
    for _ in range(4):
        begun = time.perf_counter()
        run(given)
        seconds.append(time.perf_counter() - begun)
        if sum(seconds) > _SLOW:
            break
    return seconds[0], statistics.median(seconds[1:] or seconds)
