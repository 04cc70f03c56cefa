"""Scores of estimates on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from soloist.datasets import TrackPath
from soloist.errors import SoloistError, one_line
from soloist.evaluation.listening_excerpts import choose_tracks, write_excerpts
from soloist.evaluation.matching import load_pair, match_tracks
from soloist.evaluation.outcomes import Outcome, write_failures
from soloist.evaluation.records import system_folder
from soloist.evaluation.scoring import ScoreSettings
from soloist.evaluation.scoring_workers import score_loaded


@dataclass(frozen=True)
class FolderScoring:
    """Scores the tracks of a folder of estimates, one by one; a failed track stops no other.

    Attributes:
        system: Name of the system in the results.
        settings: Settings of scoring.
        by_name: Match estimates and references of a track by name; else by quality, for talkers.
        results: Folder of the records; None to keep none.
        listen: Number of tracks with an excerpt for listening.
        jobs: Number of tracks at once, with which the memory grows.
    """

    system: str
    settings: ScoreSettings = field(default_factory=ScoreSettings)
    by_name: bool = True
    results: Path | None = None
    listen: int = 0
    jobs: int = 1

    def run(
        self,
        references: Sequence[TrackPath],
        estimates: Sequence[TrackPath],
        notify: Callable[[Outcome], None],
    ) -> None:
        """Score all tracks that have references and estimates.

        Args:
            references: Tracks of true stems.
            estimates: Tracks of estimates, with the names of the references, or a single one.
            notify: Callback that receives each outcome.

        Raises:
            UsageError: No track has both references and estimates.
        """
        pairs, missing, extra = match_tracks(references, estimates)
        outcomes = [Outcome(name, failure="it has no estimates") for name in missing]
        outcomes += [Outcome(name, failure="it has no references") for name in extra]
        for outcome in outcomes:
            notify(outcome)
        heard = choose_tracks([reference for reference, _ in pairs], self.listen)
        with ThreadPoolExecutor(self.jobs) as threads:
            # PyTorch computes outside of Python's lock.
            scored = [
                threads.submit(self._score, reference, estimate, reference.name in heard)
                for reference, estimate in pairs
            ]
            try:
                for future in scored:
                    outcomes.append(future.result())
                    notify(outcomes[-1])
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        if self._folder is not None:
            write_failures(self._folder, outcomes)

    def _score(self, reference: TrackPath, estimate: TrackPath, heard: bool) -> Outcome:
        try:
            track = reference.open()
            loaded = load_pair(track, estimate.open(), by_name=self.by_name)
            record = score_loaded(self.system, track.name, loaded, self.settings, by_name=self.by_name)
            if self._folder is not None:
                record.write(self._folder)
                if heard:
                    write_excerpts(self._folder, track, loaded)
        except (SoloistError, OSError) as error:
            return Outcome(reference.name, failure=one_line(error))
        return Outcome(reference.name, record)

    @property
    def _folder(self) -> Path | None:
        return None if self.results is None else system_folder(self.results, self.system)
