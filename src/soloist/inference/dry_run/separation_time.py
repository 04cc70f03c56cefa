"""Separation time: chunks times the time of a chunk, and reading and writing of each second."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from soloist.audio import AudioInfo
from soloist.files import scratch_folder
from soloist.inference.engine_benchmark import noise_chunk, time_resize
from soloist.inference.engine_selection import SelectedEngine
from soloist.inference.engines import Engine, Estimate
from soloist.inference.file_job import FileJob
from soloist.inference.inputs import Track
from soloist.separators import Chunking, Note

_SECONDS, _CHUNKS = 10.0, 3
"""Length of the excerpt: so many seconds, or so many chunks if these are longer."""

_BUDGET = 2.0
"""Seconds that the engine runs in the excerpt: the time of its other chunks is known then."""


@dataclass(frozen=True)
class SeparationTime:
    """Seconds that the parts of a separation take.

    Attributes:
        start: Preparing the engine for the first chunk.
        chunk: One chunk of `samples` samples.
        samples: Length of such a chunk.
        resize: Preparing the engine for a last chunk of another length.
        second: Reading, resampling and writing one second of audio.
    """

    start: float
    chunk: float
    samples: int
    resize: float
    second: float


def excerpt_of(job: FileJob, info: AudioInfo) -> FileJob:
    """A job for the beginning of a file: one chunk at once, none longer than the separator's best."""
    separator, settings = job.separator_for(info), job.settings
    usual = Chunking.of(separator).length
    duration = max(_SECONDS, _CHUNKS * usual / separator.sample_rate)
    chunk = None if job.chunking(info).length > usual else settings.stream.chunk
    left = job.duration_of(info)
    excerpt = copy.copy(job)
    excerpt.settings = replace(
        settings,
        duration=duration if left is None else min(duration, left) or duration,
        stream=replace(settings.stream, batch_size=1, chunk=chunk),
        skip_existing=False,
    )
    return excerpt


def measure_separation(
    job: FileJob, track: Track, info: AudioInfo, selected: SelectedEngine
) -> SeparationTime:
    """Separate an excerpt of a file (see `excerpt_of`) into temporary files.

    Raises:
        AudioError: The file cannot be read.
    """
    engine, trial = selected.engine, selected.trial
    separator, samples = job.separator_for(info), job.chunk_length(info)
    timed = _TimedEngine(engine, len(separator.sources), 0.0 if trial else _BUDGET)
    with scratch_folder() as folder:
        job.settings = replace(job.settings, folder=folder)
        report = job.run(track, engine=timed)
    second, groups = (
        (report.elapsed - sum(timed.calls)) / (report.duration or 1.0),
        -(-info.channels // separator.channels),
    )
    if trial:
        return SeparationTime(trial.start, groups * trial.chunk, samples, trial.resize, second)
    # A short file has one chunk, and a silent one has none.
    while len(timed.calls) < 2:
        timed.run(engine, noise_chunk(separator, samples).repeat(groups, 1, 1))
    first, *others = timed.calls
    chunk = statistics.median_low(others)
    resize = time_resize(engine, separator, samples, chunk)
    return SeparationTime(max(0.0, first - chunk), chunk, samples, resize, second)


class _TimedEngine:
    """An engine that returns the mixture as every estimate once its budget is spent, in s."""

    def __init__(self, engine: Engine, sources: int, budget: float) -> None:
        self.name, self.device = engine.name, engine.device
        self.calls: list[float] = []
        self._engine, self._sources, self._budget = engine, sources, budget

    def __call__(self, mixture: Tensor) -> Tensor:
        return self._estimate(self._engine, mixture)

    def follow(self, note: Note | None = None) -> Estimate | None:
        following = self._engine.follow(note)
        return None if following is None else partial(self._estimate, following)

    def _estimate(self, estimate: Estimate, mixture: Tensor) -> Tensor:
        if sum(self.calls) >= self._budget:
            return mixture[:, None].repeat(1, self._sources, 1, 1)
        return self.run(estimate, mixture)

    def run(self, estimate: Estimate, mixture: Tensor) -> Tensor:
        begun = time.perf_counter()
        estimates = estimate(mixture)
        self.calls.append(time.perf_counter() - begun)
        return estimates
