"""Jobs on the disk: found again after a restart, and deleted when they are old or the disk is full."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from soloist.files import remove_leftovers
from soloist.server.jobs import Job, new_identifier
from soloist.server.limits import Limits

_HOUR = 3600.0
_NOTICES = 20
_log = logging.getLogger(__name__)


class JobStore:
    """Jobs, each in a folder of its own; safe from several threads.

    Args:
        folder: Folder of all jobs.
        limits: Hours that jobs are kept, and bytes of the disk.

    Attributes:
        notices: Lines about jobs that were deleted to make room, the newest last.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self.notices: deque[str] = deque(maxlen=_NOTICES)
        self._limits = limits
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._find_earlier()

    def __iter__(self) -> Iterator[Job]:
        """Iterate over the jobs, the oldest first."""
        with self._lock:
            return iter(sorted(self._jobs.values(), key=lambda job: job.created))

    def __contains__(self, job: Job) -> bool:
        """Tell whether a job is still there."""
        with self._lock:
            return job.id in self._jobs

    def get(self, identifier: str) -> Job:
        """Find a job.

        Raises:
            KeyError: There is no such job.
        """
        with self._lock:
            return self._jobs[identifier]

    def create(self, **values: str) -> Job:
        """Create the folder of a new job, and its record."""
        folder = self.folder / new_identifier()
        folder.mkdir(mode=0o700)
        job = Job(folder, **values)  # type: ignore[arg-type]
        with self._lock:
            self._jobs[job.id] = job
        self.save(job)
        return job

    def save(self, job: Job) -> None:
        """Write the record of a job, unless it was deleted."""
        with self._lock:
            if job.id in self._jobs:
                with suppress(FileNotFoundError):
                    job.save()

    def delete(self, job: Job) -> None:
        """Delete a job with all of its files."""
        with self._lock:
            self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def make_room(self) -> None:
        """Delete finished jobs that are too old, and the oldest ones while all take too much of the disk."""
        oldest_first = [job for job in self if not job.is_active]
        limit = time.time() - _HOUR * self._limits.keep
        for job in oldest_first:
            if (job.finished or job.created) < limit:
                self._retire(job, f"it was kept for {self._limits.keep:g} h")
        sizes = {job.id: _size(job.folder) for job in self}
        for job in oldest_first:
            if sum(sizes.values()) <= self._limits.disk:
                return
            if sizes.pop(job.id, None) is not None:
                self._retire(job, f"the jobs take more than {self._limits.disk / 1e9:g} GB of the disk")

    def _retire(self, job: Job, reason: str) -> None:
        self.notices.append(f"{job.name or job.id} was deleted: {reason}")
        _log.warning(self.notices[-1])
        self.delete(job)

    def _find_earlier(self) -> None:
        """Find the jobs of earlier services; those that were not finished begin anew."""
        remove_leftovers(self.folder, recursive=True)
        for folder in sorted(path for path in self.folder.iterdir() if path.is_dir()):
            job = Job.load(folder)
            if job is None or job.state == "receiving":
                shutil.rmtree(folder, ignore_errors=True)
                continue
            if job.is_active:
                if job.state == "running":
                    job.notes.append("begun again after a restart of the service")
                job.state, job.phase, job.done = "waiting", "", 0.0
                job.save()
            self._jobs[job.id] = job


def _size(folder: Path) -> int:
    """Bytes of the files of a folder."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total
