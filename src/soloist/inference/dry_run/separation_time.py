"""Separation time: chunks times the time of a chunk, and reading and writing of each second."""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass, replace

from torch import Tensor

from soloist.audio import AudioInfo
from soloist.files import scratch_folder
from soloist.inference.engine_benchmark import estimate_of, noise_chunk, time_resize
from soloist.inference.engine_selection import SelectedEngine
from soloist.inference.engines import Engine
from soloist.inference.file_job import FileJob
from soloist.inference.inputs import Track
from soloist.separators import Chunking, Note

_EXCERPT = 10.0
"""Seconds of a file that are read and written."""

_BUDGET = 1.0
"""Seconds of chunks after the first one."""


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


def measure_separation(
    job: FileJob, track: Track, info: AudioInfo, selected: SelectedEngine
) -> SeparationTime:
    """Separate chunks of noise, none longer than the separator's best, and read and write an excerpt.

    Raises:
        AudioError: The file cannot be read.
    """
    separator, engine, trial = job.separator_for(info), selected.engine, selected.trial
    second = _time_second(job, track, len(separator.sources), engine)
    samples = min(job.chunk_length(info), Chunking.of(separator).input_length)
    if trial:
        groups = -(-info.channels // separator.channels)
        return SeparationTime(trial.start, groups * trial.chunk, samples, trial.resize, second)
    noise = noise_chunk(info.channels, samples)
    estimate, times = estimate_of(separator, engine, noise), list[float]()
    while len(times) < 2 or sum(times[1:]) < _BUDGET:
        begun = time.perf_counter()
        estimate(noise)
        times.append(time.perf_counter() - begun)
    chunk = statistics.median(times[1:])
    start, resize = max(0.0, times[0] - chunk), time_resize(engine, separator, samples, chunk)
    return SeparationTime(start, chunk, samples, resize, second)


def _time_second(job: FileJob, track: Track, sources: int, engine: Engine) -> float:
    """Seconds to read and write one second of a file, by an excerpt that is written to temporary files."""
    excerpt, duration = copy.copy(job), min(job.settings.duration or _EXCERPT, _EXCERPT)
    with scratch_folder() as folder:
        excerpt.settings = replace(job.settings, folder=folder, duration=duration, skip_existing=False)
        report = excerpt.run(track, engine=_MixtureEngine(engine, sources))
    return report.elapsed / (report.duration or 1.0)


class _MixtureEngine:
    """Engine that takes no time: each estimate is the mixture."""

    batch_limit: int | None = None

    def __init__(self, engine: Engine, sources: int) -> None:
        self.name, self.device, self.precision = engine.name, engine.device, engine.precision
        self._sources = sources

    def __call__(self, mixture: Tensor) -> Tensor:
        return mixture[:, None].repeat(1, self._sources, 1, 1)

    def follow(self, note: Note | None = None) -> None:
        return None
