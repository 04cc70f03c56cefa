"""Queue in which everybody's first job comes before anybody's second."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from soloist.server.jobs import Job


class FairQueue:
    """Waiting jobs: clients take turns, and the jobs of each keep their order. Safe from several threads."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        with self._changed:
            return sum(map(len, self._waiting.values()))

    @property
    def is_closed(self) -> bool:
        """True after `close`."""
        return self._closed

    def put(self, job: Job) -> None:
        """Add a job behind those of its client."""
        with self._changed:
            self._waiting.setdefault(job.client, deque()).append(job)
            self._changed.notify()

    def put_first(self, job: Job) -> None:
        """Add a job that had its turn already before all others."""
        with self._changed:
            self._waiting.setdefault(job.client, deque()).appendleft(job)
            self._waiting.move_to_end(job.client, last=False)
            self._changed.notify()

    def take(self) -> Job | None:
        """Wait for the next job and remove it; None once the queue is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            client, jobs = self._waiting.popitem(last=False)
            job = jobs.popleft()
            if jobs:
                # The client's next job has to wait for the turns of all others.
                self._waiting[client] = jobs
            return job

    def remove(self, job: Job) -> None:
        """Remove a job, if it waits."""
        with self._changed:
            jobs = self._waiting.get(job.client, deque())
            if job in jobs:
                jobs.remove(job)
            if not jobs:
                self._waiting.pop(job.client, None)

    def order(self) -> list[str]:
        """Identifiers of the waiting jobs, in the order in which they will be taken."""
        with self._changed:
            turns = [list(jobs) for jobs in self._waiting.values()]
        rounds = range(max(map(len, turns), default=0))
        return [jobs[turn].id for turn in rounds for jobs in turns if turn < len(jobs)]

    def close(self) -> None:
        """Let everybody who waits for a job go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
