"""The service behind the page: jobs, their queue and their workers, without HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from soloist.errors import SoloistError
from soloist.server.fair_queue import FairQueue
from soloist.server.job_store import JobStore
from soloist.server.jobs import Job
from soloist.server.limits import Limits
from soloist.server.offers import Offer, find_offer, list_offers
from soloist.server.workers import WorkerPool


class BusyError(SoloistError):
    """Refusal of a job: too many wait already."""


class Service:
    """Jobs, their queue and their workers.

    Args:
        folder: Folder of the jobs.
        limits: Limits of uploads, jobs, time, memory, disk.
        models: Names of the only models that may be used; all if empty.
        workers: Number of worker processes.
        precision: Precision of the networks, one of `PRECISIONS`, or "auto".

    Raises:
        ModelError: No model has one of the names.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits | None = None,
        models: Sequence[str] = (),
        workers: int = 1,
        precision: str = "auto",
    ) -> None:
        self.limits = limits or Limits()
        self._allowed = tuple(models)
        list_offers(self._allowed)
        self.jobs = JobStore(folder, self.limits)
        self.queue = FairQueue()
        self.pool = WorkerPool(self.jobs, self.queue, self.limits, workers, precision)

    def __enter__(self) -> Service:
        for job in self.jobs:
            if job.state == "waiting":
                self.pool.submit(job)
        self.jobs.make_room()
        self.pool.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.stop()

    def offers(self) -> list[Offer]:
        """Tasks and models that a visitor may choose, with speeds of earlier jobs where none was measured."""
        return [
            offer if offer.speed else replace(offer, speed=self._speed(offer.model))
            for offer in list_offers(self._allowed)
        ]

    def _speed(self, model: str) -> float | None:
        """Median speed of the finished jobs of a model; None without any."""
        speeds = [
            job.duration / max(1e-3, job.finished - job.started)
            for job in self.jobs
            if job.state == "finished"
            and job.model == model
            and job.duration
            and job.started
            and job.finished
        ]
        return median(speeds) if speeds else None

    def receive(self, name: str, offer: str, client: str) -> Job:
        """Begin a job, whose upload follows.

        Args:
            name: Name of the upload, for the visitor.
            offer: Name of a task or a model.
            client: Origin of the job, for a fair order.

        Raises:
            UsageError: There is no such task or model.
            BusyError: Too many jobs wait already.
        """
        chosen = find_offer(list_offers(self._allowed), offer)
        waiting = sum(job.state in ("receiving", "waiting") for job in self.jobs)
        if waiting >= self.limits.waiting:
            raise BusyError(f"{waiting} jobs wait already; try again later")
        return self.jobs.create(
            client=client,
            name=name[:200],
            offer=offer,
            model=chosen.model,
            two_stems=chosen.two_stems,
            preset=chosen.preset,
        )

    def received(self, job: Job) -> None:
        """Let a job wait whose upload is complete."""
        job.size = job.upload.stat().st_size
        job.state = "waiting"
        self.jobs.save(job)
        self.pool.submit(job)
        self.jobs.make_room()

    def delete(self, job: Job) -> None:
        """Stop a job if it is active, and delete it with its files."""
        self.pool.cancel(job)
        self.jobs.delete(job)
