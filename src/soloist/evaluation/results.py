"""Results on disk: records, failures and excerpts of systems."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from soloist.errors import UsageError
from soloist.evaluation.listening_excerpts import find_excerpts
from soloist.evaluation.outcomes import read_failures
from soloist.evaluation.records import FRAME_METRICS, SUBSET, TRACK_METRICS, TrackRecord, read_records
from soloist.metrics import bootstrap_interval, summarize

METRICS = (*FRAME_METRICS, *TRACK_METRICS)

FEW_TRACKS = 5
"""Fewest tracks for intervals and box plots over tracks."""


@dataclass(frozen=True)
class SystemResults:
    """Content of a system's folder.

    Attributes:
        name: Name of the system.
        records: Records of the tracks with scores.
        failures: Reasons why other tracks have no scores, by track.
        excerpts: Files for listening, by track and by `mixture`, `reference-X`, `estimate-X`.
    """

    name: str
    records: tuple[TrackRecord, ...]
    failures: dict[str, str] = field(default_factory=dict)
    excerpts: dict[str, dict[str, Path]] = field(default_factory=dict)

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of computing for a second of audio, over all tracks; None if unknown."""
        timed = [record for record in self.records if record.cost is not None]
        audio = sum(record.duration for record in timed)
        return sum(record.cost.elapsed for record in timed if record.cost) / audio if audio > 0 else None

    @property
    def peak_memory(self) -> float | None:
        """Peak memory of separating, MB; None if unknown."""
        known = [
            record.cost.peak_memory for record in self.records if record.cost and record.cost.peak_memory
        ]
        return max(known) if known else None

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets of all records, in the order of their first occurrence."""
        return tuple(dict.fromkeys(target.name for record in self.records for target in record.targets))

    def unprocessed(self, target: str, metric: str) -> list[float]:
        """Value of the unprocessed mixture for each track with the target, if its record has it."""
        return [
            scores.unprocessed[metric]
            for record in self.records
            for scores in record.targets
            if scores.name == target and metric in scores.unprocessed
        ]

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """Metrics of users in any record, in the order of their first occurrence."""
        named = (name for record in self.records for target in record.targets for name in target.whole)
        return tuple(dict.fromkeys(name for name in named if name not in TRACK_METRICS))

    def frames(self, target: str, metric: str) -> list[list[float]]:
        """Values of a metric for each track with the target: one for each window, or one."""
        return [
            target_scores.frames[metric] if metric in FRAME_METRICS else [target_scores.whole[metric]]
            for record in self.records
            for target_scores in record.targets
            if target_scores.name == target and (metric in FRAME_METRICS or metric in target_scores.whole)
        ]

    def tracks(self, target: str, metric: str) -> list[float]:
        """Median over windows for each track with the target; NaN if all values are NaN."""
        return [summarize(values) for values in self.frames(target, metric)]

    def interval(self, target: str, metric: str) -> tuple[float, float] | None:
        """Bootstrapped 95 % interval of the median over tracks; None for fewer than `FEW_TRACKS`."""
        values = self.tracks(target, metric)
        return bootstrap_interval(values) if len(values) >= FEW_TRACKS else None


def all_targets(systems: Iterable[SystemResults]) -> list[str]:
    """Targets of all systems, vocals and accompaniment first, because most systems have them."""
    found = dict.fromkeys(target for system in systems for target in system.targets)
    first = [target for target in ("vocals", "accompaniment") if target in found]
    return list(dict.fromkeys([*first, *found]))


def all_metrics(systems: Iterable[SystemResults]) -> tuple[str, ...]:
    """Metrics of all systems: those of every record, then those of users."""
    own = dict.fromkeys(name for system in systems for name in system.own_metrics)
    return (*METRICS, *own)


def best_first(systems: Iterable[SystemResults], target: str) -> list[SystemResults]:
    """Sort the systems with a target by median SDR, the best first, systems without scores last."""
    having = [system for system in systems if target in system.targets]
    medians = {system.name: summarize(system.tracks(target, "SDR")) for system in having}
    return sorted(having, key=lambda system: (math.isnan(medians[system.name]), -medians[system.name]))


def load_results(folders: Sequence[Path]) -> list[SystemResults]:
    """Load the systems in folders of results, or in single systems' folders, each once.

    Folders of one system are parts of its results if no two have scores of the same track.

    Raises:
        UsageError: There are no results in a folder, or two have scores of one system on one track.
        AudioError: A file of results is damaged.
    """
    systems: dict[str, dict[Path, SystemResults]] = {}
    for folder in folders:
        found = [path for path in (folder, *_children(folder)) if (path / SUBSET).is_dir()]
        if not found:
            raise UsageError(
                f"no results in {folder}: there should be folders of systems, each with {SUBSET}/"
            )
        for path in found:
            results = _load_system(path)
            systems.setdefault(results.name, {})[path.resolve()] = results
    return [_merge(parts) for parts in systems.values()]


def _merge(parts: Mapping[Path, SystemResults]) -> SystemResults:
    """Merge parts of a system's results, by their folders."""
    first, *others = parts.values()
    scored: dict[str, Path] = {}
    for folder, part in parts.items():
        for record in part.records:
            if (other := scored.setdefault(record.track, folder)) != folder:
                raise UsageError(
                    f"{other} and {folder} both have scores of {first.name} on {record.track}: "
                    "leave one of them out"
                )
    if not others:
        return first
    records = sorted((each for part in parts.values() for each in part.records), key=lambda each: each.track)
    failures = {track: why for part in parts.values() for track, why in part.failures.items()}
    return SystemResults(
        first.name,
        tuple(records),
        {track: why for track, why in failures.items() if track not in scored},
        {track: files for part in parts.values() for track, files in part.excerpts.items()},
    )


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _load_system(folder: Path) -> SystemResults:
    records = tuple(read_records(folder))
    name = records[0].system if records else folder.name
    return SystemResults(name, records, read_failures(folder), find_excerpts(folder))
