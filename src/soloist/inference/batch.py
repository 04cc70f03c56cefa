"""A batch of files: a report for each, and a failure that stops no other."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING

from soloist.errors import Interrupted
from soloist.inference.dry_run.memory_use import WAY_OUT
from soloist.inference.file_job import FileJob
from soloist.inference.file_settings import FileSettings
from soloist.inference.inputs import Track, find_tracks
from soloist.inference.loaded_models import find_model
from soloist.inference.shared_batches import BatchMember, SharedBatches
from soloist.inference.stem_separation import Cancel, Watch
from soloist.inference.track_report import TrackReport
from soloist.resources import within_memory

if TYPE_CHECKING:
    from soloist.inference.dry_run.dry_run_report import DryRunReport

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


@dataclass(frozen=True)
class BatchResult:
    """Result of a batch.

    Attributes:
        reports: Reports of separated and skipped files, in order.
        failures: Files that failed, each with its error.
    """

    reports: tuple[TrackReport, ...]
    failures: tuple[tuple[Track, Exception], ...]

    @property
    def failed(self) -> int:
        """Number of failures, among them truncated files whose remainder was separated."""
        return len(self.failures) + sum(report.truncation is not None for report in self.reports)


_Outcomes = Generator[tuple[Track, TrackReport | Exception], None, None]


class _Clock:
    """Progress of all tracks.

    Args:
        progress: Callback that receives it.
        durations: Seconds of each track; 0 if unknown.
    """

    def __init__(self, progress: Callable[[BatchProgress], None], durations: Sequence[float]) -> None:
        self._progress, self._durations = progress, durations
        self._done = [0.0] * len(durations)

    def begin(self, index: int, track: Track) -> None:
        """Report that a track begins."""
        self.advance(index, track, 0.0, self._durations[index])

    def end(self, index: int) -> None:
        """Take a track for separated, whatever became of it."""
        self._done[index] = self._durations[index]

    def advance(self, index: int, track: Track, done: float, total: float) -> None:
        """Report the seconds of a track that are separated, of how many."""
        self._done[index] = done
        self._progress(BatchProgress(track, done, total, sum(self._done), sum(self._durations)))


class Batch:
    """Separates files of any length with one model, as `soloist separate` does.

    Where several chunks are separated at once, those of several files are: a short file fills the batch of
    another. All callbacks are called in the thread of `run`.

    Args:
        model: Name in the zoo, which is downloaded if it is not on disk, or path of a model folder; None for
            the best on disk, else one that is downloaded.
        settings: Selection, format and place of the stems; None for all stems in `separated/`.

    Raises:
        ModelError: The model is unknown or damaged, or cannot be downloaded.
        UsageError: The model has no such stem, or the device does not exist.

    Example:
        >>> batch = soloist.Batch("hpss", soloist.FileSettings(Path("stems")))
        >>> result = batch.run(["album/", "song.mp3"])  # doctest: +SKIP
        >>> [report.stems for report in result.reports], result.failed  # doctest: +SKIP
    """

    def __init__(
        self, model: str | PathLike[str] | None = None, settings: FileSettings | None = None
    ) -> None:
        self._job = FileJob(str(find_model(model)), settings or FileSettings())

    def run(
        self,
        inputs: Sequence[str | PathLike[str] | Track],
        report: Callable[[TrackReport], None] = lambda report: None,
        failure: Failure = lambda track, error: None,
        progress: Callable[[BatchProgress], None] = lambda progress: None,
        cancel: Cancel | None = None,
    ) -> BatchResult:
        """Separate all files; a failure stops no other.

        Args:
            inputs: Files, folders (recursive) and globs, or tracks.
            report: Callback that receives the report of each separated or skipped file.
            failure: Callback that receives each file that failed, by whatever error.
            progress: Callback that receives the progress, at the beginning of each file too; what it raises
                ends the batch, and is raised.
            cancel: Request to stop, such as a `threading.Event`; heard between chunks.

        Raises:
            UsageError: A stem would replace a file, or files would share a stem; nothing was separated.
            Interrupted: `cancel` was set; the stems of finished files are there.
        """
        tracks = self._find(inputs)
        self._job.protect(tracks)
        clock = _Clock(progress, [self._duration(track) for track in tracks])
        size = self._shared_batch(tracks)
        run = self._one_by_one if size == 1 else partial(self._together, size)
        reports, failures = list[TrackReport](), list[tuple[Track, Exception]]()
        with closing(run(tracks, clock, cancel)) as outcomes:
            for index, (track, outcome) in enumerate(outcomes):
                clock.end(index)
                if isinstance(outcome, TrackReport):
                    reports.append(outcome)
                    report(outcome)
                    continue
                _check_interrupted(outcome)
                failures.append((track, outcome))
                failure(track, outcome)
        return BatchResult(tuple(reports), tuple(failures))

    def _one_by_one(self, tracks: Sequence[Track], clock: _Clock, cancel: Cancel | None) -> _Outcomes:
        """Outcomes of tracks that are separated one after the other."""
        raised: list[Exception] = []
        for index, track in enumerate(tracks):

            def advance(done: float, total: float, index: int = index, track: Track = track) -> None:
                try:
                    clock.advance(index, track, done, total)
                except Exception as error:
                    raised.append(error)
                    raise

            clock.begin(index, track)
            try:
                outcome: TrackReport | Exception = self._run(track, Watch(advance, cancel))
            except Interrupted:
                raise
            except Exception as error:
                if raised:
                    raise raised[0] from None
                outcome = error
            yield track, outcome

    def _together(
        self, size: int, tracks: Sequence[Track], clock: _Clock, cancel: Cancel | None
    ) -> _Outcomes:
        """Outcomes of tracks whose chunks share batches of so many."""
        batches = SharedBatches(size, cancel)

        def work(place: tuple[int, Track], member: BatchMember) -> tuple[Track, TrackReport | Exception]:
            def advance(done: float, total: float) -> None:
                member.tell(partial(clock.advance, *place, done, total))

            member.tell(partial(clock.begin, *place))
            try:
                return place[1], self._run(place[1], Watch(advance, batches.cancel), member)
            except Interrupted:
                raise
            except Exception as error:
                return place[1], error

        with closing(batches.run(enumerate(tracks), work)) as outcomes:
            yield from outcomes

    def _run(self, track: Track, watch: Watch, member: BatchMember | None = None) -> TrackReport:
        with within_memory(f"at {track.label}: {WAY_OUT}"):
            return self._job.run(track, watch, member=member)

    def _shared_batch(self, tracks: Sequence[Track]) -> int:
        """Chunks at once of several tracks, as many as suit the first one that can be read."""
        for track in tracks[: len(tracks) if len(tracks) > 1 else 0]:
            try:
                return self._job.shared_batch(track)
            except Exception as error:
                _check_interrupted(error)
        return 1

    def _find(self, inputs: Sequence[str | PathLike[str] | Track]) -> list[Track]:
        """Tracks of inputs; of those that are tracks already, themselves."""
        if all(isinstance(given, Track) for given in inputs):
            return [given for given in inputs if isinstance(given, Track)]
        return find_tracks(
            [str(given.path if isinstance(given, Track) else os.fspath(given)) for given in inputs],
            exclude=self._job.settings.folder,
        )

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
        from soloist.inference.dry_run.dry_run_report import DryRun

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
            return self._job.settings.duration_of(self._job.probe(track)) or 0.0
        except Exception as error:
            _check_interrupted(error)
            return 0.0


def _check_interrupted(error: BaseException | None) -> None:
    """Raise `KeyboardInterrupt` if an error is a consequence of one, as in a callback of a C library."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            raise error
        error = error.__cause__ or error.__context__
