"""A batch of files: a report for each, and a failure that stops no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from soloist.inference.dry_run.dry_run_report import DryRun, DryRunReport
from soloist.inference.dry_run.memory_use import WAY_OUT
from soloist.inference.file_job import FileJob
from soloist.inference.file_settings import FileSettings
from soloist.inference.inputs import Track
from soloist.inference.track_report import TrackReport
from soloist.resources import within_memory

Failure = Callable[[Track, Exception], None]
"""Callback that receives a file and the error that ended it."""


@dataclass(frozen=True)
class BatchProgress:
    """Progress of a batch, in seconds of audio.

    Attributes:
        track: The current file.
        done: Separated of the file.
        total: Duration of the file.
        batch_done: Separated of the batch.
        batch_total: Duration of the batch, without unreadable files.
    """

    track: Track
    done: float
    total: float
    batch_done: float
    batch_total: float


class Batch:
    """Separates files with one model, which is loaded once.

    Args:
        model: Name in the zoo or path of a model folder.
        settings: Selection, format and place of the stems.

    Raises:
        ModelError: The model is unknown or damaged.
        UsageError: The model has no such stem, or the device does not exist.

    Example:
        >>> batch = Batch("hpss", FileSettings())
        >>> batch.run(find_tracks(["album/"]), print, print)  # doctest: +SKIP
    """

    def __init__(self, model: str, settings: FileSettings) -> None:
        self._job = FileJob(model, settings)

    def run(
        self,
        tracks: Sequence[Track],
        report: Callable[[TrackReport], None],
        failure: Failure,
        progress: Callable[[BatchProgress], None] = lambda progress: None,
    ) -> int:
        """Separate all files.

        Args:
            tracks: The files.
            report: Callback that receives the report of each separated or skipped file.
            failure: Callback that receives each file that failed, by whatever error.
            progress: Callback that receives the progress, at the beginning of each file too.

        Returns:
            The number of failures, among them truncated files whose remainder was separated.

        Raises:
            UsageError: A stem would replace a file, or files would share a stem; nothing was separated.
        """
        self._job.protect(tracks)
        durations = [self._duration(track) for track in tracks]
        failures = 0
        for index, track in enumerate(tracks):
            before = sum(durations[:index])

            def advance(done: float, total: float, track: Track = track, before: float = before) -> None:
                progress(BatchProgress(track, done, total, before + done, sum(durations)))

            advance(0.0, durations[index])
            try:
                with within_memory(f"at {track.label}: {WAY_OUT}"):
                    finished = self._job.run(track, advance)
            except Exception as error:
                _check_interrupted(error)
                failures += 1
                failure(track, error)
            else:
                failures += finished.truncation is not None
                report(finished)
        return failures

    def plan(
        self,
        tracks: Sequence[Track],
        report: Callable[[TrackReport, DryRunReport | None], None],
        failure: Failure,
    ) -> int:
        """Measure what `run` would take, without writing any stem.

        Args:
            tracks: The files.
            report: Callback that receives the plan of each file with its expected time, memory and disk space
                (None if the file would be skipped).
            failure: Callback that receives each file that cannot be read or does not fit.

        Returns:
            The number of failures.

        Raises:
            UsageError: A stem would replace a file, or files would share a stem.
        """
        self._job.protect(tracks)
        dry_run, failures = DryRun(self._job), 0
        for track in tracks:
            try:
                plan = self._job.plan(track)
                expected = None if plan.skipped else dry_run.report(track)
            except Exception as error:
                _check_interrupted(error)
                failures += 1
                failure(track, error)
            else:
                report(plan, expected)
        return failures

    def _duration(self, track: Track) -> float:
        """Separated seconds of a file; 0 if unknown, or if the file cannot be read, which `run` reports."""
        try:
            return self._job.duration_of(self._job.probe(track)) or 0.0
        except Exception as error:
            _check_interrupted(error)
            return 0.0


def _check_interrupted(error: BaseException | None) -> None:
    """Raise `KeyboardInterrupt` if an error is a consequence of one, as in a callback of a C library."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            raise error
        error = error.__cause__ or error.__context__
