"""Worker processes of the service: one job at a time each, watched, and replaced when they die."""

from __future__ import annotations

import logging
import threading
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import psutil

from soloist.server.fair_queue import FairQueue
from soloist.server.job_store import JobStore
from soloist.server.jobs import Job
from soloist.server.limits import Limits
from soloist.server.separation_worker import CANCEL, Advance, JobOutcome, serve_jobs

_POLL = 0.25
"""Seconds between two looks at a worker that says nothing."""

_PATIENCE = 5.0
"""Seconds that a worker has to stop a cancelled job before it is killed."""

_log = logging.getLogger(__name__)


class WorkerDied(Exception):  # noqa: N818 - what happened to the worker, not to the job
    """End of a worker during a job; the message is the reason."""


class Worker:
    """One worker process, started for its first job and after its death.

    Args:
        limits: Time and memory of a job.
        count: Number of all workers, which share the processor.
        precision: Precision of the networks.
    """

    def __init__(self, limits: Limits, count: int, precision: str) -> None:
        self._limits, self._count, self._precision = limits, count, precision
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Number of the process; None before the first job."""
        return self._process.pid if self._process else None

    def separate(self, job: Job, cancelled: threading.Event) -> JobOutcome | None:
        """Separate a job.

        Args:
            job: The job; its progress is written into it.
            cancelled: Event that stops the job.

        Returns:
            The outcome; None after a cancellation.

        Raises:
            WorkerDied: The process ended, or was killed as it took too much time or memory.
        """
        connection = self._start()
        try:
            connection.send(job)
            return self._watch(connection, job, cancelled)
        except (EOFError, OSError) as error:
            assert self._process is not None
            self._process.join(_PATIENCE)
            raise WorkerDied(f"the worker ended with code {self._process.exitcode}") from error

    def stop(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def _start(self) -> Connection:
        if self._process is None or not self._process.is_alive():
            self.stop()
            context = get_context("spawn")
            self._connection, theirs = context.Pipe()
            arguments = (theirs, self._count, self._precision)
            self._process = context.Process(target=serve_jobs, args=arguments, daemon=True)
            self._process.start()
            theirs.close()
        assert self._connection is not None
        return self._connection

    def _watch(self, connection: Connection, job: Job, cancelled: threading.Event) -> JobOutcome | None:
        heard, told = time.monotonic(), False
        while True:
            if connection.poll(_POLL):
                message, heard = connection.recv(), time.monotonic()
                if isinstance(message, JobOutcome):
                    return None if cancelled.is_set() else message
                if isinstance(message, Advance) and not cancelled.is_set():
                    job.phase, job.done, job.duration = message.phase, message.done, message.duration
            if cancelled.is_set() and not told:
                connection.send(CANCEL)
                told, heard = True, time.monotonic()
            if told and time.monotonic() - heard > _PATIENCE:
                self.stop()
                return None
            self._check(job, time.monotonic() - heard)

    def _check(self, job: Job, silent: float) -> None:
        """Kill the process if it takes too much time or memory."""
        assert self._process is not None
        limit = self._limits.opening if job.phase == "opening" else self._limits.stall
        reason = f"nothing happened for {limit:g} s" if silent > limit else ""
        try:
            memory = psutil.Process(self._process.pid).memory_info().rss
        except psutil.Error:
            return  # its end is noticed by the connection
        if memory > self._limits.memory:
            reason = f"it took more than {self._limits.memory / 1e9:g} GB of memory"
        if reason:
            self.stop()
            raise WorkerDied(reason)


class WorkerPool:
    """Threads that take jobs from the queue, each with a worker process.

    Args:
        store: The jobs.
        queue: The waiting ones.
        limits: Time and memory of a job, and the number of attempts.
        count: Number of workers.
        precision: Precision of the networks.
    """

    def __init__(
        self, store: JobStore, queue: FairQueue, limits: Limits, count: int = 1, precision: str = "auto"
    ) -> None:
        self._store, self._queue, self._limits = store, queue, limits
        self._cancelled: dict[str, threading.Event] = {}
        self.workers = [Worker(limits, count, precision) for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True) for worker in self.workers
        ]

    def start(self) -> None:
        """Begin to take jobs."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all workers; running jobs begin anew with the next service."""
        self._queue.close()
        for worker in self.workers:
            worker.stop()
        for thread in self._threads:
            thread.join()

    def submit(self, job: Job) -> None:
        """Let a job wait for its turn."""
        self._cancelled[job.id] = threading.Event()
        self._queue.put(job)

    def cancel(self, job: Job) -> None:
        """Stop a job that waits or runs; a worker that does not stop is killed."""
        self._queue.remove(job)
        if (event := self._cancelled.pop(job.id, None)) is not None:
            event.set()

    def _serve(self, worker: Worker) -> None:
        while (job := self._queue.take()) is not None:
            if (cancelled := self._cancelled.get(job.id)) is None:
                continue
            try:
                self._run(worker, job, cancelled)
            except Exception:
                _log.exception("a fault of the service")
                self._finish(job, JobOutcome(error="a fault of the service, see its log"))
            if not job.is_active:
                self._cancelled.pop(job.id, None)

    def _run(self, worker: Worker, job: Job, cancelled: threading.Event) -> None:
        job.state, job.started, job.phase = "running", time.time(), "opening"
        job.attempts += 1
        self._store.save(job)
        try:
            outcome = worker.separate(job, cancelled)
        except WorkerDied as death:
            if self._queue.is_closed or cancelled.is_set():
                return  # the service ends; the next one begins the job anew
            self._again_or_failed(job, str(death))
            return
        if outcome is not None:
            self._finish(job, outcome)

    def _again_or_failed(self, job: Job, reason: str) -> None:
        """Begin a job again whose worker died, or give it up after too many attempts."""
        _log.warning("%s: %s", job.name or job.id, reason)
        if job.attempts < self._limits.attempts:
            job.notes.append(f"begun again: {reason}")
            job.state, job.phase, job.done = "waiting", "", 0.0
            self._store.save(job)
            self._queue.put_first(job)
        else:
            self._finish(job, JobOutcome(error=f"given up after {job.attempts} attempts: {reason}"))

    def _finish(self, job: Job, outcome: JobOutcome) -> None:
        job.state = "failed" if outcome.error else "finished"
        job.error, job.phase, job.finished = outcome.error, "", time.time()
        job.notes += outcome.notes
        if not outcome.error:
            job.model, job.stems, job.null_dbfs = outcome.model, outcome.stems, outcome.null_dbfs
            job.sample_rate, job.channels, job.samples = (
                outcome.sample_rate,
                outcome.channels,
                outcome.samples,
            )
            job.done = job.duration = outcome.samples / outcome.sample_rate
        self._store.save(job)
        self._store.make_room()
