"""Scores of a track, and their file in museval's JSON schema with additions of Soloist.

A system's results are files `<system>/test/<track>.json`, the layout that museval's `add_eval_dir` reads.
Undefined and infinite values are `null`, which museval's reader takes for missing; reading gives NaN.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from soloist.errors import AudioError
from soloist.files import json_text, write_whole

FRAME_METRICS = ("SDR", "ISR", "SIR", "SAR")
"""Metrics of BSS Eval v4, with a value for each window, in dB."""

TRACK_METRICS = ("SI-SDR", "uSDR")
"""Metrics of the whole track, in dB: SI-SDR, and the SDR of the music demixing challenges."""

SUBSET = "test"
"""Folder in which museval looks for results of any corpus."""

_SCHEMA_VERSION = "0.4.1"
_OWN_KEY = "soloist"


@dataclass(frozen=True)
class TargetScores:
    """Scores of one target of a track.

    Attributes:
        name: The target.
        frames: Values for each window by `FRAME_METRICS`, in dB; NaN for undefined values.
        whole: Value for the whole track by `TRACK_METRICS`, in dB.
        rank_deficient: True if the references are too alike, or band-limited, for a full-rank solution.
        unprocessed: Value of the mixture in place of the estimate: the median SDR of the windows, and metrics
            of the whole track.
    """

    name: str
    frames: dict[str, list[float]]
    whole: dict[str, float] = field(default_factory=dict)
    rank_deficient: bool = False
    unprocessed: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SeparationCost:
    """Cost of separating a track.

    Attributes:
        elapsed: Seconds, with reading and writing.
        peak_memory: Peak memory of the process, in MB (10^6 bytes); None if unknown.
        device: Device of the computation.
    """

    elapsed: float
    peak_memory: float | None = None
    device: str = ""


@dataclass(frozen=True)
class TrackRecord:
    """Scores and cost of a system on a track.

    Attributes:
        system: Name of the system.
        track: Name of the track.
        targets: Scores of each target.
        window: Length of the windows of BSS Eval, s.
        hop: Distance of the windows, s.
        duration: Duration of the track, s; NaN if unknown.
        cost: Cost of separating; None for estimates from files.
        notes: Notes for readers of the scores, a line each.
        refused: Reasons why estimates of the track could not be scored, a line each.
        settings: Settings of separating and scoring; an evaluation with other settings makes the record anew.
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
        write_whole(path, json_text(self._as_json(), indent=1))
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
            "unprocessed": {target.name: target.unprocessed for target in self.targets},
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
    """Folder of a system in a folder of results; a colon becomes a hyphen."""
    return results / system.replace(":", "-")


def record_path(folder: Path, track: str) -> Path:
    """File of a track's record in a system's folder."""
    return folder / SUBSET / f"{track}.json"


def read_record(path: Path, system: str, track: str) -> TrackRecord:
    """Read a record, of Soloist or of museval.

    Args:
        path: The file.
        system: Name of the system if the file has none.
        track: Name of the track if the file has none.

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
    """Read the records in a system's folder, in the order of the tracks.

    Raises:
        AudioError: A file is damaged.
    """
    subset = folder / SUBSET
    for path in sorted(subset.rglob("*.json")):
        yield read_record(path, folder.name, path.relative_to(subset).with_suffix("").as_posix())


def _parse(content: Mapping[str, Any], system: str, track: str) -> TrackRecord:
    own = content.get(_OWN_KEY, {})
    whole, deficient = own.get("whole", {}), own.get("rank_deficient", ())
    unprocessed = own.get("unprocessed", {})
    targets = tuple(
        TargetScores(
            target["name"],
            {
                metric: [_number(frame["metrics"][metric]) for frame in target["frames"]]
                for metric in FRAME_METRICS
            },
            {metric: _number(value) for metric, value in whole.get(target["name"], {}).items()},
            target["name"] in deficient,
            {metric: _number(value) for metric, value in unprocessed.get(target["name"], {}).items()},
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
        duration=_number(own.get("duration")),
        cost=None if cost is None else SeparationCost(**cost | {"elapsed": _number(cost["elapsed"])}),
        notes=tuple(own.get("notes", ())),
        refused=tuple(own.get("refused", ())),
        settings=own.get("settings", {}),
    )


def _windows(targets: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Length and distance of the windows, s, from the first two windows; 1 s without windows."""
    frames: list[dict[str, Any]] = next((target["frames"] for target in targets if target["frames"]), [])
    window = float(frames[0]["duration"]) if frames else 1.0
    return window, float(frames[1]["time"] - frames[0]["time"]) if len(frames) > 1 else 1.0


def _number(value: float | None) -> float:
    """Read a number; NaN for JSON's `null`."""
    return math.nan if value is None else float(value)


def _quantized(value: float) -> float:
    """Round a value as museval does: five decimals, NaN for infinite values."""
    return round(value, 5) if math.isfinite(value) else math.nan
