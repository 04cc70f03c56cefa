"""Evaluation of systems on a corpus by the actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType

from soloist.cluster.ray_cluster import RayCluster
from soloist.datasets import TrackPath
from soloist.evaluation import EvaluationSettings, Outcome, check_system
from soloist.evaluation import scoring_workers as workers
from soloist.evaluation.listening_excerpts import choose_tracks
from soloist.evaluation.outcomes import write_failures
from soloist.evaluation.records import system_folder
from soloist.evaluation.track_evaluator import TrackEvaluator
from soloist.files import scratch_folder
from soloist.inference import find_device
from soloist.resources import Processes


class RayEvaluation:
    """Separates and scores a corpus with one system after another on a cluster.

    Like `Evaluation`, whose records it continues. An actor evaluates one track at a time, in two processes of
    its own, and writes the record; names and scores go through the object store, audio never does. A track at
    which the processes of three actors die has failed.

    Args:
        tracks: The corpus, with paths that all nodes see.
        settings: Settings of the evaluation, with a folder that all nodes see; `jobs` is left out.
        address: See `RayCluster`.
        jobs: Number of actors; None for one a device.

    Raises:
        UsageError: Ray is not installed, or the address is none.
    """

    def __init__(
        self,
        tracks: Sequence[TrackPath],
        settings: EvaluationSettings,
        address: str,
        jobs: int | None = None,
    ) -> None:
        self._tracks, self._settings = tracks, settings
        self._heard = frozenset(choose_tracks(tracks, settings.listen))
        self._cluster = RayCluster(address, jobs, settings.systems.device)

    def __enter__(self) -> RayEvaluation:
        self._cluster.__enter__()
        if (device := self._settings.systems.device) == "auto":
            device = "cuda" if self._cluster.share.gpus else find_device("cpu")
            systems = replace(self._settings.systems, device=device)
            self._settings = replace(self._settings, systems=systems)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.__exit__(kind, error, trace)

    def run(self, name: str, notify: Callable[[Outcome], None] | None = None) -> list[Outcome]:
        """Evaluate a system, except for tracks that have scores; see `Evaluation.run`."""
        evaluator = TrackEvaluator(check_system(name), self._settings, self._heard)
        outcomes, left = [], []

        def keep(outcome: Outcome) -> None:
            outcomes.append(outcome)
            if notify is not None:
                notify(outcome)

        for track in self._tracks:
            if (earlier := evaluator.earlier(track)) is not None:
                keep(earlier)
            else:
                left.append(track)
        for over in self._cluster.run(partial(TrackActor, name, evaluator), left):
            died = f"the process died {over.number} times at it; out of memory?"
            keep(over.result or Outcome(over.item.name, failure=died))
        write_failures(system_folder(self._settings.results, evaluator.system), outcomes)
        return outcomes


class TrackActor:
    """Part of an actor that evaluates tracks with one system.

    Args:
        name: A model's name or folder, or an oracle.
        evaluator: The evaluator of the tracks.
        threads: Processor threads.
    """

    def __init__(self, name: str, evaluator: TrackEvaluator, threads: int) -> None:
        self._name, self._evaluator, self._threads = name, evaluator, threads
        self._stack = ExitStack()
        self._begin()

    def __call__(self, track: TrackPath) -> Outcome | None:
        """Evaluate a track; None if a process died at it."""
        try:
            return self._evaluator.run(track, self._separators, self._scorers)
        except BrokenProcessPool:
            self._stack.close()
            self._begin()
            return None

    def _begin(self) -> None:
        """Start the processes; time and memory of the separating one are those of the system alone."""
        folder, threads = self._stack.enter_context(scratch_folder()), self._threads
        start = (self._name, self._evaluator.settings.systems, folder, threads)
        self._separators = self._stack.enter_context(Processes(1, workers.start_separating, *start))
        self._scorers = self._stack.enter_context(Processes(1, workers.start_scoring, threads))
