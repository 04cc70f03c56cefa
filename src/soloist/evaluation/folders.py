"""Scores of estimates that lie on disk already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from soloist.datasets.stems import TrackPath
from soloist.errors import SoloistError
from soloist.evaluation.excerpts import choose_tracks, write_excerpts
from soloist.evaluation.failures import write_failures
from soloist.evaluation.matching import load_pair, match_tracks
from soloist.evaluation.outcome import Outcome
from soloist.evaluation.records import system_folder
from soloist.evaluation.scoring import ScoreSettings
from soloist.evaluation.workers import score_loaded


def score_folders(
    references: Sequence[TrackPath],
    estimates: Sequence[TrackPath],
    *,
    system: str,
    settings: ScoreSettings,
    results: Path | None = None,
    listen: int = 0,
    notify: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Score the tracks of a folder of estimates, one by one; a track that fails stops no other.

    Args:
        references: Tracks of true stems.
        estimates: Tracks of estimates, named like those or a single one.
        system: Under which name the scores are kept.
        settings: How estimates are scored.
        results: Folder to keep records in; None to keep none.
        listen: Number of tracks of which an excerpt is kept to listen to.
        notify: Called with every outcome as it comes.

    Raises:
        UsageError: No track has both references and estimates.
    """
    pairs, missing, extra = match_tracks(references, estimates)
    folder = None if results is None else system_folder(results, system)
    heard = choose_tracks([reference for reference, _ in pairs], listen)
    outcomes = [Outcome(name, failure="there are no estimates of it") for name in missing]
    outcomes += [Outcome(name, failure="there are no references of it") for name in extra]
    notify = notify or _ignore
    for outcome in outcomes:
        notify(outcome)
    for reference, estimate in pairs:
        outcome = _score(reference, estimate, system, settings, folder if reference.name in heard else None)
        if folder is not None and outcome.record is not None:
            outcome.record.write(folder)
        outcomes.append(outcome)
        notify(outcome)
    if folder is not None:
        write_failures(folder, {outcome.track: outcome.failure for outcome in outcomes if outcome.failure})
    return outcomes


def _ignore(outcome: Outcome) -> None:
    """Tell nobody."""


def _score(
    reference: TrackPath, estimate: TrackPath, system: str, settings: ScoreSettings, heard: Path | None
) -> Outcome:
    try:
        track = reference.open()
        loaded = load_pair(track, estimate.open(), by_name=not settings.permutation)
        record = score_loaded(system, track.name, loaded, settings)
        if heard is not None:
            write_excerpts(heard, track, loaded)
    except (SoloistError, OSError) as error:
        return Outcome(reference.name, failure=" ".join(str(error).split()))
    return Outcome(reference.name, record)
