"""The dry run: time, memory and disk space of each file, and the refusal of what does not fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from soloist.audio import AudioInfo
from soloist.inference.dry_run.memory_use import WAY_OUT, MemoryUse, chunk_memory
from soloist.inference.dry_run.separation_time import SeparationTime, measure_separation
from soloist.inference.engine_benchmark import export_graphs, noise_chunk
from soloist.inference.engine_selection import SelectedEngine
from soloist.inference.engines import GraphEngine
from soloist.inference.file_job import FileJob
from soloist.inference.inputs import Track
from soloist.inference.outputs import DiskSpace
from soloist.resources import GPUMemory, peak_memory, resident_memory, within_memory


@dataclass(frozen=True)
class DryRunReport:
    """Time, memory and disk space that separating a file is expected to take.

    Attributes:
        seconds: Time from reading to the finished stems, with a loaded model; None if the length
            of the file is unknown.
        memory: Most memory that is held at once.
        available: Memory that may be held.
        disk: Disk space of the stems, beside those of the files before.
        calibrated: True if `soloist tune` measured the time of a chunk, False if it was measured now.
    """

    seconds: float | None
    memory: MemoryUse
    available: MemoryUse
    disk: DiskSpace
    calibrated: bool

    def as_dict(self) -> dict[str, str | float | None]:
        """Plain values for JSON, in s and MB."""
        figures = {
            "expected_seconds": self.seconds,
            "expected_memory_mb": self.memory.process,
            "available_memory_mb": self.available.process,
            "expected_gpu_memory_mb": self.memory.gpu,
            "available_gpu_memory_mb": self.available.gpu,
            "expected_disk_mb": self.disk.needed,
            "available_disk_mb": self.disk.available,
        }
        rounded = {name: None if value is None else round(value, 3) for name, value in figures.items()}
        return {**rounded, "expected_from": "calibration" if self.calibrated else "measurement"}


class DryRun:
    """Expected time, memory and disk space of the files of a batch, in their order.

    The first file of each kind is measured, and its time includes the start of the engine.

    Args:
        job: The job that would separate the files.
    """

    def __init__(self, job: FileJob) -> None:
        self._job = job
        self._measured: dict[tuple[object, ...], tuple[SeparationTime, MemoryUse]] = {}
        self._kept = 0.0

    def report(self, track: Track) -> DryRunReport:
        """Expected time, memory and disk space of a file.

        Raises:
            AudioError: The file cannot be read, or the disk has no room for its stems.
            OutOfMemoryError: The memory does not suffice.
        """
        job, info = self._job, self._job.probe(track)
        disk, selected = self._disk_space(track, info), job.select_engine(info)
        available = MemoryUse.available(selected.engine.device)
        length, duration = job.chunk_length(info), job.settings.duration_of(info)
        # Files of a kind share a measurement if their chunks are about as long.
        about = round(math.log(length, 1.25))
        kind = (info.sample_rate, info.channels, info.container, info.codec, selected, about)
        if kind not in self._measured:
            with within_memory(f"before anything was separated: {WAY_OUT}"):
                self._measured[kind] = self._measure(track, info, selected)
        time, memory = self._measured[kind]
        self._measured[kind] = replace(time, start=0.0), memory
        memory.check(available)
        last = job.chunking(info).last(job.samples_of(info))
        chunks = job.count_chunks(info) * time.chunk * length / time.samples
        fixed = time.start + (last != length) * time.resize
        seconds = None if duration is None else fixed + chunks + duration * time.second
        return DryRunReport(seconds, memory, available, disk, selected.trial is not None)

    def _measure(
        self, track: Track, info: AudioInfo, selected: SelectedEngine
    ) -> tuple[SeparationTime, MemoryUse]:
        """Separate one chunk at once, and extrapolate the memory to batches of chunks."""
        job, engine, trial = self._job, selected.engine, selected.trial
        if trial is None and isinstance(engine, GraphEngine) and not engine.is_exported:
            # In another process: exporting takes memory that a separation by a cached graph does not.
            export_graphs(job.model)
        before, gpu = resident_memory() or 0.0, GPUMemory(engine.device)
        time = measure_separation(job, track, info, selected)
        peak = peak_memory() or 0.0
        if trial and gpu.peak() is None:
            return time, MemoryUse(max(peak, before + (trial.memory or 0.0)), None)
        batch = min(selected.batch_size, job.count_chunks(info))
        more = max(0.0, batch * job.chunk_length(info) / time.samples - 1)
        if more:
            chunk = noise_chunk(job.separator_for(info).channels, time.samples)
            peak += more * chunk_memory(engine, chunk, peak - before)
        return time, MemoryUse(peak, gpu.peak(1 + more))

    def _disk_space(self, track: Track, info: AudioInfo) -> DiskSpace:
        """Disk space of the stems of a file, beside those of the files before."""
        paths = self._job.plan(track).stems
        disk = self._job.settings.disk_space(info, paths)
        if disk.needed is None or disk.kept is None:
            return disk
        kept, disk = disk.kept, replace(disk, needed=disk.needed + self._kept)
        disk.check(track.label)
        replaced = sum(path.stat().st_size for path in set(paths.values()) if path.is_file()) / 1e6
        self._kept += max(0.0, kept - replaced)
        return disk
