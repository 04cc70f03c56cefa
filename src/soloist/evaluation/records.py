"""Scores of a track and their file: museval's JSON schema, which museval reads, and what Soloist adds.

A system's results are a folder `<system>/test/<track>.json`, the layout that museval's `add_eval_dir` takes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from soloist.errors import AudioError
from soloist.files import write_whole

FRAME_METRICS = ("SDR", "ISR", "SIR", "SAR")
"""Metrics of BSS Eval v4, one value for each window, in dB."""

TRACK_METRICS = ("SI-SDR", "uSDR")
"""Metrics of the whole track, in dB: SI-SDR, and the SDR of the music demixing challenges."""

SUBSET = "test"
"""The folder that museval looks for results in, whatever the corpus."""

_SCHEMA_VERSION = "0.4.1"
_OWN_KEY = "soloist"


@dataclass(frozen=True)
class TargetScores:
    """Scores of one target of a track.

    Attributes:
        name: The target.
        frames: For each of `FRAME_METRICS` a value for each window, in dB; NaN where there is none.
        whole: For each of `TRACK_METRICS` the value of the whole track, in dB.
        rank_deficient: Whether the references were too alike, or band-limited, for a full-rank solution.
    """

    name: str
    frames: dict[str, list[float]]
    whole: dict[str, float] = field(default_factory=dict)
    rank_deficient: bool = False


@dataclass(frozen=True)
class SeparationCost:
    """What separating a track took.

    Attributes:
        elapsed: Seconds, reading and writing included.
        peak_memory: MB (10^6 bytes) that the process has held at most; None where it is not known.
        device: What was computed on.
    """

    elapsed: float
    peak_memory: float | None = None
    device: str = ""


@dataclass(frozen=True)
class TrackRecord:
    """All that is known of a system's estimates of a track.

    Attributes:
        system: Name of the system.
        track: Name of the track.
        targets: Scores of each target.
        window: Length of the windows of BSS Eval, s.
        hop: Their distance, s.
        duration: Length of the track, s; NaN where it is not known.
        cost: What separating took; None where the estimates came as files.
        notes: What a reader of the scores should know, a line each.
        refused: Why estimates of the track could not be scored, a line each.
        settings: How it was separated and scored: a record with other settings is not taken for this one.
    """

    system: str
    track: str
    targets: tuple[TargetScores, ...]
    window: float = 1.0
    hop: float = 1.0
    duration: float = math.nan
    cost: SeparationCost | None = None
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the record into a system's folder, whole or not at all; return its path."""
        path = record_path(folder, self.track)
        write_whole(path, json.dumps(self._as_json(), indent=1))
        return path

    def _as_json(self) -> dict[str, Any]:
        own = {
            "system": self.system,
            "track": self.track,
            "window": self.window,
            "hop": self.hop,
            "duration": self.duration,
            "cost": None if self.cost is None else asdict(self.cost),
            "notes": list(self.notes),
            "refused": list(self.refused),
            "settings": self.settings,
            "whole": {target.name: target.whole for target in self.targets},
            "rank_deficient": [target.name for target in self.targets if target.rank_deficient],
        }
        targets = [{"name": target.name, "frames": self._frames(target)} for target in self.targets]
        return {"targets": targets, "museval_version": _SCHEMA_VERSION, _OWN_KEY: own}

    def _frames(self, target: TargetScores) -> list[dict[str, Any]]:
        columns = [target.frames[metric] for metric in FRAME_METRICS]
        return [
            {
                "time": index * self.hop,
                "duration": self.window,
                "metrics": {name: _quantized(value) for name, value in zip(FRAME_METRICS, row, strict=True)},
            }
            for index, row in enumerate(zip(*columns, strict=True))
        ]


def system_folder(results: Path, system: str) -> Path:
    """The folder of a system in a folder of results; a colon is not for file names."""
    return results / system.replace(":", "-")


def record_path(folder: Path, track: str) -> Path:
    """The file of a track's record in a system's folder."""
    return folder / SUBSET / f"{track}.json"


def read_record(path: Path, system: str, track: str) -> TrackRecord:
    """Read a record, of Soloist or of museval.

    Args:
        path: The file.
        system: Name of the system, where the file does not say it.
        track: Name of the track, where the file does not say it.

    Raises:
        AudioError: The file is damaged or not a record.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _parse(content, system, track)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise AudioError(
            f"{path} is not a record of scores, or is damaged; delete it to score anew"
        ) from error


def read_records(folder: Path) -> Iterator[TrackRecord]:
    """The records in a system's folder, in the order of the tracks.

    Raises:
        AudioError: A file is damaged.
    """
    subset = folder / SUBSET
    for path in sorted(subset.rglob("*.json")):
        yield read_record(path, folder.name, path.relative_to(subset).with_suffix("").as_posix())


def _parse(content: Mapping[str, Any], system: str, track: str) -> TrackRecord:
    own = content.get(_OWN_KEY, {})
    whole, deficient = own.get("whole", {}), own.get("rank_deficient", ())
    targets = tuple(
        TargetScores(
            target["name"],
            {
                metric: [float(frame["metrics"][metric]) for frame in target["frames"]]
                for metric in FRAME_METRICS
            },
            {metric: float(value) for metric, value in whole.get(target["name"], {}).items()},
            target["name"] in deficient,
        )
        for target in content["targets"]
    )
    window, hop = _windows(content["targets"])
    cost = own.get("cost")
    return TrackRecord(
        own.get("system", system),
        own.get("track", track),
        targets,
        window=own.get("window", window),
        hop=own.get("hop", hop),
        duration=float(own.get("duration", math.nan)),
        cost=None if cost is None else SeparationCost(**cost),
        notes=tuple(own.get("notes", ())),
        refused=tuple(own.get("refused", ())),
        settings=own.get("settings", {}),
    )


def _windows(targets: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Length and distance of the windows, s, as the first of them tell; 1 s where there are none."""
    frames: list[dict[str, Any]] = next((target["frames"] for target in targets if target["frames"]), [])
    window = float(frames[0]["duration"]) if frames else 1.0
    return window, float(frames[1]["time"] - frames[0]["time"]) if len(frames) > 1 else 1.0


def _quantized(value: float) -> float:
    """A value as museval writes it: five decimals, and NaN for what is infinite."""
    return round(value, 5) if math.isfinite(value) else math.nan
