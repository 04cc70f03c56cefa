"""What separating a file will take, before it is separated."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from soloist.audio import AudioInfo, probe
from soloist.errors import OutOfMemoryError
from soloist.inference.dry_run.disk_space import Room, check_room
from soloist.inference.dry_run.separation_time import (
    EXCERPT,
    Basis,
    Cost,
    Outside,
    calibrated_cost,
    measure_outside,
    measured_cost,
)
from soloist.inference.engine_selection import SelectedEngine
from soloist.inference.file_job import FileJob
from soloist.inference.inputs import Track
from soloist.resources import available_gpu_memory, available_memory, within_memory
from soloist.separators import Chunking

WAY_OUT = "take a shorter --chunk or a smaller --batch-size"
"""What to do where the memory does not suffice."""

_ALIKE = 1.25


@dataclass(frozen=True)
class Expectation:
    """What separating a file is expected to take.

    Attributes:
        seconds: From reading to the finished stems, with a model that has been loaded.
        memory: The most memory that the process will hold, MB (10^6 bytes).
        available: Memory that it can have, MB; None where the system does not say.
        basis: Where the time of a chunk comes from: `soloist tune`, or chunks of this file, separated now.
        gpu_memory: The most memory of a GPU that it will hold, MB; None for other devices.
        gpu_available: What it can have of that, MB; None for other devices.
        room: What the stems take of the disk, beside those of the files before.
    """

    seconds: float
    memory: float
    available: float | None
    basis: Basis
    gpu_memory: float | None = None
    gpu_available: float | None = None
    room: Room | None = None

    @property
    def fits(self) -> bool:
        """Whether memory and disk suffice."""
        return self._missing_memory is None and not (self.room and self.room.lacking)

    def check(self) -> None:
        """Refuse what does not fit, in one line with the way out.

        Raises:
            OutOfMemoryError: The memory does not suffice.
            AudioError: The disk has no room.
        """
        if self._missing_memory:
            raise OutOfMemoryError(self._missing_memory)
        if self.room:
            check_room(self.room)

    @property
    def _missing_memory(self) -> str | None:
        kinds = (("memory", self.memory, self.available), ("GPU memory", self.gpu_memory, self.gpu_available))
        for name, needed, there in kinds:
            if needed is not None and there is not None and needed > there:
                figures = f"about {needed:.0f} MB of {name}, and {there:.0f} MB are there"
                return f"separating takes {figures}: {WAY_OUT}"
        return None


class Planner:
    """Says what a job will take for each file of a batch, in their order.

    What chunks cost comes from the calibration of the model, or else from the first file of each kind. What
    only the first file of a batch takes, as to start an engine, counts for the first one that is asked for.

    Args:
        job: What will be done.
    """

    def __init__(self, job: FileJob) -> None:
        self._job = job
        self._costs: dict[tuple[object, ...], Cost] = {}
        self._outside: dict[tuple[object, ...], Outside] = {}
        self._lengths: dict[str, set[int]] = {}
        self._kept = 0.0

    def expect(self, track: Track) -> Expectation:
        """What separating a file will take.

        Raises:
            AudioError: The file cannot be read.
            OutOfMemoryError: The memory does not even suffice to find out.
        """
        job, info = self._job, probe(track.path)
        selected = job.select_engine(info)
        available, gpu_available = available_memory(), available_gpu_memory(selected.engine.device)
        with within_memory(f"before anything was separated: {WAY_OUT}"):
            cost = self._cost_of(track, info, selected)
            outside = self._outside_of(track, info)
        seconds = self._chunks_of(info, cost)
        return Expectation(
            seconds=seconds + outside + self._starting(info, selected, cost),
            memory=cost.memory,
            available=available,
            basis=cost.basis,
            gpu_memory=cost.gpu_memory,
            gpu_available=gpu_available,
            room=self._room_for(track, info),
        )

    def _room_for(self, track: Track, info: AudioInfo) -> Room:
        """The room on the disk for the stems of a file, beside those of the files before."""
        paths = self._job.plan(track).stems
        room = self._job.room_for(info, paths)
        room = replace(room, needed=room.needed + self._kept)
        replaced = sum(path.stat().st_size for path in set(paths.values()) if path.is_file()) / 1e6
        self._kept += max(0.0, room.kept - replaced)
        return room

    def _chunks_of(self, info: AudioInfo, cost: Cost) -> float:
        """Seconds for all chunks; what is shorter than that which was measured takes so much less."""
        return self._job.count_chunks(info) * cost.chunk * self._length(info) / cost.samples

    def _length(self, info: AudioInfo) -> int:
        """Samples of the chunks of a file."""
        return min(self._chunking(info).length, self._job.samples_of(info))

    def _chunking(self, info: AudioInfo) -> Chunking:
        return self._job.settings.stream.chunking(self._job.separator_for(info))

    def _cost_of(self, track: Track, info: AudioInfo, selected: SelectedEngine) -> Cost:
        # Files of less than a chunk are measured anew if none was that is about as long.
        length = round(math.log(self._length(info), _ALIKE))
        key = (info.sample_rate, info.channels, selected.engine.name, selected.batch_size, length)
        if key not in self._costs:
            known = calibrated_cost(self._job, info, selected)
            self._costs[key] = known or measured_cost(self._job, track, info, selected)
        return self._costs[key]

    def _outside_of(self, track: Track, info: AudioInfo) -> float:
        """Seconds of everything but the engine."""
        key = (info.sample_rate, info.channels, info.container, info.codec)
        duration, start = self._job.duration_of(info), 0.0
        if key not in self._outside or self._outside[key].duration < min(EXCERPT, duration):
            self._outside[key] = measure_outside(self._job, track, info)
            start = self._outside[key].start
        outside = self._outside[key]
        return start + outside.file + outside.second * duration

    def _starting(self, info: AudioInfo, selected: SelectedEngine, cost: Cost) -> float:
        """Seconds until the engine is ready for the chunks of a file, after those of the files before."""
        samples, chunking = self._job.samples_of(info), self._chunking(info)
        lengths = {self._length(info), chunking.last(samples)}
        known = self._lengths.setdefault(selected.engine.name, set())
        first, new = not known, len(lengths - known)
        known |= lengths
        return cost.start + (new - 1) * cost.resize if first else new * cost.resize
