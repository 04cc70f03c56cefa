"""Evaluation of systems on a corpus, with tracks in parallel, and resumable."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from soloist.datasets import TrackPath
from soloist.errors import SoloistError, explain, one_line
from soloist.evaluation import scoring_workers as workers
from soloist.evaluation.listening_excerpts import choose_tracks, excerpt_folder
from soloist.evaluation.outcomes import Outcome, write_failures
from soloist.evaluation.records import TrackRecord, read_record, record_path, system_folder
from soloist.evaluation.scoring import ScoreSettings
from soloist.evaluation.systems import SystemSettings, check_system
from soloist.files import scratch_folder
from soloist.resources import Processes


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of an evaluation.

    Attributes:
        results: Folder of the results, with a folder for each system.
        systems: Settings of separating.
        scores: Settings of scoring.
        listen: Number of tracks with an excerpt for listening.
        jobs: Number of tracks at once, with which the memory grows.
        overwrite: Evaluate tracks anew that have scores.
    """

    results: Path = Path("results")
    systems: SystemSettings = field(default_factory=SystemSettings)
    scores: ScoreSettings = field(default_factory=ScoreSettings)
    listen: int = 1
    jobs: int = 1
    overwrite: bool = False

    def fingerprint(self) -> dict[str, object]:
        """Settings that scores depend on; a record with another fingerprint is made anew."""
        return {**asdict(self.systems), **self.scores.fingerprint()}


class Evaluation:
    """Separates and scores a corpus with one system after another; a failed track stops no other.

    Separating and scoring run in different processes, so that time and memory are those of the system alone.
    At most `settings.jobs` tracks are in memory, and their estimates on disk, at once.

    Args:
        tracks: The corpus.
        settings: Settings of the evaluation.
    """

    def __init__(self, tracks: Sequence[TrackPath], settings: EvaluationSettings) -> None:
        self._tracks, self._settings = tracks, settings
        self._heard = choose_tracks(tracks, settings.listen)
        self._threads = max(1, (os.cpu_count() or 1) // settings.jobs)
        self._stack = ExitStack()

    def __enter__(self) -> Evaluation:
        self._scratch = self._stack.enter_context(scratch_folder())
        self._scorers = self._stack.enter_context(
            Processes(self._settings.jobs, workers.start_scoring, self._threads)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def run(self, name: str, notify: Callable[[Outcome], None] | None = None) -> list[Outcome]:
        """Evaluate a system, except for tracks that have scores.

        Args:
            name: A model's name or folder, or an oracle; see `OracleName`.
            notify: Callback that receives each outcome.

        Raises:
            ModelError: The model is unknown or not on disk.
            UsageError: There is no such oracle, or no such transform.
            SoloistError: A process died.
        """
        title = check_system(name)
        start = (name, self._settings.systems, self._scratch, self._threads)
        with (
            ThreadPoolExecutor(self._settings.jobs) as threads,
            Processes(self._settings.jobs, workers.start_separating, *start) as separators,
        ):
            futures = [threads.submit(self._outcome, title, track, separators) for track in self._tracks]
            try:
                for future in as_completed(futures):
                    if notify is not None:
                        notify(future.result())
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        outcomes = [future.result() for future in futures]
        write_failures(system_folder(self._settings.results, title), outcomes)
        return outcomes

    def _outcome(self, system: str, track: TrackPath, separators: Processes) -> Outcome:
        if (record := self._earlier(system, track)) is not None:
            return Outcome(track.name, record, resumed=True)
        try:
            record = self._evaluate(system, track, separators)
            record.write(system_folder(self._settings.results, system))
        except BrokenProcessPool as error:
            raise SoloistError(
                f"a process died at {track.name} (out of memory?): try fewer --jobs; finished tracks are kept"
            ) from error
        except (SoloistError, OSError) as error:
            return Outcome(track.name, failure=one_line(explain(error)))
        return Outcome(track.name, record)

    def _earlier(self, system: str, track: TrackPath) -> TrackRecord | None:
        """Record of an earlier run; None unless the settings are the same and a wanted excerpt is there."""
        folder = system_folder(self._settings.results, system)
        path = record_path(folder, track.name)
        if self._settings.overwrite or not path.is_file():
            return None
        if track.name in self._heard and not excerpt_folder(folder, track.name).is_dir():
            return None
        try:
            record = read_record(path, system, track.name)
        except SoloistError:
            return None
        return record if record.settings == self._settings.fingerprint() else None

    def _evaluate(self, system: str, track: TrackPath, separators: Processes) -> TrackRecord:
        separated = separators.submit(workers.separate, track).result()
        try:
            task = workers.ScoringTask(
                system,
                track,
                separated,
                self._settings.scores,
                self._settings.fingerprint(),
                system_folder(self._settings.results, system) if track.name in self._heard else None,
            )
            return self._scorers.submit(workers.score, task).result()
        finally:
            for folder in {path.parent for path in separated.separation.files.values()}:
                shutil.rmtree(folder, ignore_errors=True)
