"""Evaluation of systems on a corpus, with tracks in parallel, and resumable."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from types import TracebackType

from soloist.datasets import TrackPath
from soloist.errors import SoloistError
from soloist.evaluation import scoring_workers as workers
from soloist.evaluation.listening_excerpts import choose_tracks
from soloist.evaluation.outcomes import Outcome, write_failures
from soloist.evaluation.records import system_folder
from soloist.evaluation.systems import check_system
from soloist.evaluation.track_evaluator import EvaluationSettings, TrackEvaluator
from soloist.files import scratch_folder
from soloist.resources import Processes


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
        self._heard = frozenset(choose_tracks(tracks, settings.listen))
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
        evaluator = TrackEvaluator(check_system(name), self._settings, self._heard)
        start = (name, self._settings.systems, self._scratch, self._threads)
        with (
            ThreadPoolExecutor(self._settings.jobs) as threads,
            Processes(self._settings.jobs, workers.start_separating, *start) as separators,
        ):
            futures = [threads.submit(self._outcome, evaluator, track, separators) for track in self._tracks]
            try:
                for future in as_completed(futures):
                    if notify is not None:
                        notify(future.result())
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        outcomes = [future.result() for future in futures]
        write_failures(system_folder(self._settings.results, evaluator.system), outcomes)
        return outcomes

    def _outcome(self, evaluator: TrackEvaluator, track: TrackPath, separators: Processes) -> Outcome:
        try:
            return evaluator.earlier(track) or evaluator.run(track, separators, self._scorers)
        except BrokenProcessPool as error:
            raise SoloistError(
                f"a process died at {track.name} (out of memory?): try fewer --jobs; finished tracks are kept"
            ) from error
