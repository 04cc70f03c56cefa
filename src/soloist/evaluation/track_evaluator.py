"""Evaluation of one track after the other: an earlier record, or separating and scoring anew."""

from __future__ import annotations

import shutil
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path

from soloist.datasets import TrackPath
from soloist.errors import SoloistError, explain, one_line
from soloist.evaluation import scoring_workers as workers
from soloist.evaluation.listening_excerpts import excerpt_folder
from soloist.evaluation.outcomes import Outcome
from soloist.evaluation.records import TrackRecord, read_record, record_path, system_folder
from soloist.evaluation.scoring import ScoreSettings
from soloist.evaluation.systems import SystemSettings
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


@dataclass(frozen=True)
class TrackEvaluator:
    """Evaluates tracks with one system; whatever goes wrong with a track is its failure.

    Attributes:
        system: Name of the system in the results.
        settings: Settings of the evaluation.
        heard: Names of the tracks with an excerpt for listening.
    """

    system: str
    settings: EvaluationSettings
    heard: frozenset[str] = frozenset()

    def earlier(self, track: TrackPath) -> Outcome | None:
        """Outcome of an earlier run; None unless the settings are the same and a wanted excerpt is there."""
        path = record_path(self._folder, track.name)
        if self.settings.overwrite or not path.is_file():
            return None
        if track.name in self.heard and not excerpt_folder(self._folder, track.name).is_dir():
            return None
        try:
            record = read_record(path, self.system, track.name)
        except SoloistError:
            return None
        same = record.settings == self.settings.fingerprint()
        return Outcome(track.name, record, resumed=True) if same else None

    def run(self, track: TrackPath, separators: Processes, scorers: Processes) -> Outcome:
        """Evaluate a track, and write its record.

        Args:
            track: The track.
            separators: Processes that separate, as `start_separating` prepares them.
            scorers: Processes that score.

        Raises:
            BrokenProcessPool: A process died.
        """
        try:
            record = self._evaluate(track, separators, scorers)
            record.write(self._folder)
        except BrokenProcessPool:
            raise
        except (SoloistError, OSError) as error:
            return Outcome(track.name, failure=one_line(explain(error)))
        return Outcome(track.name, record)

    def _evaluate(self, track: TrackPath, separators: Processes, scorers: Processes) -> TrackRecord:
        separated = separators.submit(workers.separate, track).result()
        try:
            task = workers.ScoringTask(
                self.system,
                track,
                separated,
                self.settings.scores,
                self.settings.fingerprint(),
                self._folder if track.name in self.heard else None,
            )
            return scorers.submit(workers.score, task).result()
        finally:
            for folder in {path.parent for path in separated.separation.files.values()}:
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return system_folder(self.settings.results, self.system)
