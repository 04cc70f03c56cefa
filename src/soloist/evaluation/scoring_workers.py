"""Functions of the processes of an evaluation: separate a track, score a track."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from soloist.datasets import StemFile, StemTrack, TrackPath
from soloist.evaluation.listening_excerpts import write_excerpts
from soloist.evaluation.matching import LoadedTrack, load_pair
from soloist.evaluation.records import SeparationCost, TrackRecord
from soloist.evaluation.scenarios import accompaniment_parts
from soloist.evaluation.scoring import ScoreSettings, match_by_quality, score_estimates
from soloist.evaluation.systems import System, SystemEstimates, SystemSettings, make_system
from soloist.resources import peak_memory

_system: System | None = None
_starting: tuple[str, SystemSettings, Path] | None = None


@dataclass(frozen=True)
class Separated:
    """Estimates of a track, and the peak memory of their process, MB."""

    separation: SystemEstimates
    peak_memory: float | None


@dataclass(frozen=True)
class ScoringTask:
    """Track to score, with its estimates.

    Attributes:
        system: Name of the system.
        track: The track, for its references.
        separated: The estimates.
        scores: Settings of scoring.
        settings: Fingerprint of the evaluation, for the record.
        heard: The system's folder, to keep an excerpt for listening; None to keep none.
    """

    system: str
    track: TrackPath
    separated: Separated
    scores: ScoreSettings
    settings: dict[str, Any]
    heard: Path | None = None


def start_separating(name: str, settings: SystemSettings, folder: Path, threads: int) -> None:
    """Prepare a process that separates with one system."""
    global _starting
    torch.set_num_threads(threads)
    _starting = (name, settings, folder)


def start_scoring(threads: int) -> None:
    """Prepare a process that scores."""
    torch.set_num_threads(threads)


def separate(track: TrackPath) -> Separated:
    """Separate a track with the system of this process, which the first track loads.

    Raises:
        AudioError: The track cannot be read.
        ModelError: The model is damaged.
    """
    global _system
    if _system is None:
        assert _starting is not None
        _system = make_system(*_starting)
    separation = _system.separate(track.open())
    return Separated(separation, peak_memory())


def score(task: ScoringTask) -> TrackRecord:
    """Score a track; the record tells which estimates cannot be scored.

    Raises:
        AudioError: The references cannot be read, or nothing can be scored.
    """
    separation = task.separated.separation
    files = {name: StemFile(path) for name, path in separation.files.items()}
    track = task.track.open()
    loaded = load_pair(track, StemTrack(track.name, files), by_name=separation.ordered)
    _add_accompaniment(loaded)
    record = score_loaded(task.system, track.name, loaded, task.scores, by_name=separation.ordered)
    if task.heard is not None:
        write_excerpts(task.heard, track, loaded)
    cost = SeparationCost(separation.elapsed, task.separated.peak_memory, separation.device)
    return replace(record, cost=cost, settings=task.settings)


def score_loaded(
    system: str, track: str, loaded: LoadedTrack, settings: ScoreSettings, *, by_name: bool = True
) -> TrackRecord:
    """Score a track whose references and estimates are in memory.

    Args:
        system: Name of the system.
        track: Name of the track.
        loaded: References and estimates; without `by_name` the estimates get the names of references.
        settings: Settings of scoring.
        by_name: Match estimates and references by name; else by quality.

    Raises:
        UsageError: Without names, there are not as many estimates as references.
    """
    loaded.cut(settings.start, settings.duration)
    if not by_name:
        loaded.estimates = match_by_quality(loaded.references, loaded.estimates)
    targets = score_estimates(loaded.references, loaded.estimates, loaded.sample_rate, settings)
    return TrackRecord(
        system,
        track,
        tuple(targets),
        window=settings.window,
        hop=settings.hop,
        duration=loaded.duration,
        notes=tuple(loaded.notes),
        refused=tuple(loaded.refused),
    )


def _add_accompaniment(loaded: LoadedTrack) -> None:
    """Add up the accompaniment for a system with vocals and two or more other stems, as in SiSEC."""
    parts = accompaniment_parts(loaded.estimates)
    if parts and len(loaded.estimates) == len(loaded.references) > 2:
        loaded.estimates["accompaniment"] = sum(
            (loaded.estimates[name] for name in parts[1:]), loaded.estimates[parts[0]]
        )
