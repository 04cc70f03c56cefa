"""What the parts of a job cost: a chunk, and everything around the chunks."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from soloist.audio import AudioInfo, StemWriter, WriteOptions
from soloist.inference.dry_run.trial_run import Idle, rehearse
from soloist.inference.engine_benchmark import export_graphs, noise_chunk, time_resize
from soloist.inference.engine_selection import SelectedEngine
from soloist.inference.engines import Engine, GraphEngine
from soloist.inference.file_job import FileJob
from soloist.inference.inputs import Track
from soloist.inference.stream import StreamSettings
from soloist.resources import GPUMemory, is_gpu, peak_memory, peak_tensor_memory, resident_memory
from soloist.separators import Chunking

Basis = Literal["calibration", "measurement"]

EXCERPT, _SHORT = 10.0, 2.0
"""Seconds of a file whose reading, resampling and writing is timed."""

_SECONDS, _LONGEST = 2.0, 4.0
"""Seconds of chunks that suffice if these are two or more, and even if it is one."""

_CHUNKS = 12
"""Chunks that always suffice."""

_LEVEL = np.float32(0.1)

_BESIDE_TENSORS, _BESIDE_GPU = 1.25, 3.0
"""How much more a process takes than the tensors of a chunk, or than it and its estimates: what is glued and
written, scratch space of operations, gaps."""

_AHEAD = 60.0
"""Seconds into the file, at most, where chunks are taken: some formats are decoded from the beginning."""


@dataclass(frozen=True)
class Outside:
    """What everything but the engine takes.

    Attributes:
        start: Seconds that it takes more the first time.
        file: Seconds for each file.
        second: Seconds for each second of a file.
        duration: Seconds of the longest excerpt that was tried.
    """

    start: float
    file: float
    second: float
    duration: float


@dataclass(frozen=True)
class Cost:
    """What chunks of some length cost.

    Attributes:
        start: Seconds that the first takes more than the others.
        chunk: Seconds for each.
        resize: Seconds until the engine is ready for chunks of another length.
        samples: Their length.
        memory: The most that the process holds, MB.
        gpu_memory: The most that is taken of a GPU, MB; None for other devices.
        basis: Where this is known from.
    """

    start: float
    chunk: float
    resize: float
    samples: int
    memory: float
    gpu_memory: float | None
    basis: Basis


def measure_outside(job: FileJob, track: Track, info: AudioInfo) -> Outside:
    """Time a job on the first seconds of a file, with an engine that does nothing."""
    duration = job.duration_of(info)
    long, short = min(EXCERPT, duration), min(_SHORT, duration)
    idle, settings = Idle(job.separator_for(info)), replace(job.settings, stream=_tried_stream(job, info))

    def run(seconds: float) -> float:
        return rehearse(job, track, replace(settings, duration=seconds), idle).outside or 0.0

    cold = run(short)
    whole, part = (min(times) for times in zip(*((run(long), run(short)) for _ in range(2)), strict=True))
    second = max(0.0, whole - part) / (long - short) if long > short else 0.0
    return Outside(max(0.0, cold - part), max(0.0, whole - second * long), second, long)


def calibrated_cost(job: FileJob, info: AudioInfo, selected: SelectedEngine) -> Cost | None:
    """What `soloist tune` measured; None where it did not measure such chunks."""
    separator, stream = job.separator_for(info), job.settings.stream
    usual, trial = Chunking.of(separator).length, selected.trial
    asked = stream.batch_size or selected.batch_size
    as_usual = stream.chunking(separator).length == usual <= job.samples_of(info)
    if not as_usual or trial is None or trial.batch_size != asked:
        return None
    groups = -(-info.channels // separator.channels)
    memory = (resident_memory() or 0.0) + (trial.memory or 0.0)
    memory = max(memory, peak_memory() or 0.0)
    return Cost(trial.start, groups * trial.chunk, trial.resize, usual, memory, None, "calibration")


def measured_cost(job: FileJob, track: Track, info: AudioInfo, selected: SelectedEngine) -> Cost:
    """Separate a few chunks; where more at once is asked for than a chunk, the rest is a rule of three."""
    separator, stream, engine = job.separator_for(info), job.settings.stream, selected.engine
    if isinstance(engine, GraphEngine) and not engine.is_exported:
        # Done in another process: it takes memory that a separation with the graph in the cache does not.
        export_graphs(job.model)
    asked = min(stream.chunking(separator).length, job.samples_of(info))
    tried = min(asked, Chunking.of(separator).length)
    longer = asked / tried
    times = longer * min(stream.batch_size or selected.batch_size, job.count_chunks(info))
    before, gpu = resident_memory() or 0.0, GPUMemory(engine.device)
    start, chunk = _rehearse_chunks(job, track, info, engine)
    resize = time_resize(engine, separator, tried, chunk)
    memory = peak_memory() or 0.0
    if times > 1:
        memory += (times - 1) * _memory_of(engine, noise_chunk(separator, tried), memory - before)
    return Cost(start, chunk * longer, resize, asked, memory, gpu.peak(times), "measurement")


def _memory_of(engine: Engine, chunk: Tensor, grown: float) -> float:
    """MB of the process that one chunk more at once takes.

    Args:
        engine: What it is separated by.
        chunk: `(1, channels, samples)`.
        grown: What the process grew by when it separated the first ones.
    """
    if isinstance(engine, GraphEngine):
        # Nobody sees what is inside; this is too much, since it holds the compiled graph.
        return grown
    if is_gpu(engine.device):
        return _BESIDE_GPU * (chunk.nbytes + engine(chunk).nbytes) / 1e6
    return _BESIDE_TENSORS * peak_tensor_memory(partial(engine, chunk)) / 1e6


def _tried_stream(job: FileJob, info: AudioInfo) -> StreamSettings:
    """How chunks are tried: one at a time, and none that are longer than the separator's best."""
    separator, stream = job.separator_for(info), job.settings.stream
    longer = stream.chunking(separator).length > Chunking.of(separator).length
    return replace(stream, batch_size=1, chunk=None if longer else stream.chunk)


def _rehearse_chunks(job: FileJob, track: Track, info: AudioInfo, engine: Engine) -> tuple[float, float]:
    """Seconds of a chunk from the file, or of noise where it is silent there, and what the first takes more.

    Of the first are the first reading and writing, too, where the file is short enough to be done as a whole.
    """
    separator, settings, stream = job.separator_for(info), job.settings, _tried_stream(job, info)
    chunking, whole = stream.chunking(separator), job.duration_of(info)
    # One more than are separated: the last may have a length of its own.
    duration = min(whole, (chunking.length + _CHUNKS * chunking.step) / separator.sample_rate)
    start = settings.start + min(_AHEAD, (whole - duration) / 2)
    settings = replace(settings, start=start, duration=duration, stream=stream)
    with tempfile.TemporaryDirectory(prefix="soloist-") as folder:
        first = rehearse(job, track, settings, engine, _suffice)
        if not first.calls:
            track, settings = Track(Path(folder) / "noise.wav", "noise"), replace(settings, start=0.0)
            _write_noise(track.path, info, min(duration, 3 * chunking.length / separator.sample_rate))
            first = rehearse(job, track, settings, engine, _suffice)
        calls, outside = first.calls[1:], 0.0
        if not _suffice(first.calls):
            again = rehearse(job, track, settings, engine, _suffice)
            calls, outside = (*calls, *again.calls), (first.outside or 0.0) - (again.outside or 0.0)
    chunk = statistics.median(calls or first.calls)
    return max(0.0, first.calls[0] - chunk + outside), chunk


def _suffice(calls: Sequence[float]) -> bool:
    spent = sum(calls)
    return len(calls) == _CHUNKS or spent > _LONGEST or (len(calls) > 1 and spent > _SECONDS)


def _write_noise(path: Path, info: AudioInfo, duration: float) -> None:
    samples = max(1, round(duration * info.sample_rate))
    noise = np.random.default_rng(0).standard_normal((1, info.channels, samples), np.float32)
    with StemWriter({"noise": path}, info.sample_rate, info.channels, WriteOptions()) as writer:
        writer.write(_LEVEL * noise)
        writer.commit()
