"""Report of a separated track, with the mean confidence of its chunks, and its progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from soloist.audio import Remarks
from soloist.separators.separator import Confidence

Progress = Callable[[float, float], None]
"""Callback that receives the seconds done and the seconds in all."""


@dataclass(frozen=True, kw_only=True)
class SeparationReport:
    """Report of a separation.

    Attributes:
        model: Name of the model.
        duration: Seconds of audio; None in the plan of a file of unknown length.
        elapsed: Seconds of the separation.
        device: Device of the computation.
        engine: Engine of the network.
        precision: Precision of the network.
        sample_rate: Sample rate of the stems, Hz.
        null_dbfs: Level of the mixture minus the sum of the stems, dB of full scale, before the gain and
            quantisation of files.
        confidence: Clustering confidence, means over the chunks of `silhouette` and `posterior`; see
            `Confidence`. None for other separators.
        notes: Lines about a wrong header that costs no sound, and about batches that memory did not hold.
        losses: Lines about missing sound within the file.
        truncation: Line about the missing end of a file; None if the file is complete.
    """

    model: str
    duration: float | None
    elapsed: float = 0.0
    device: str = ""
    engine: str = ""
    precision: str = "float32"
    sample_rate: int = 0
    null_dbfs: float | None = None
    confidence: dict[str, float | None] | None = None
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    truncation: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON. A level of -inf becomes -999."""
        values = asdict(self) | {"real_time_factor": self.elapsed / self.duration if self.duration else 0.0}
        if self.null_dbfs is not None:
            values["null_dbfs"] = max(-999.0, round(self.null_dbfs, 2))
        return values


@dataclass(frozen=True, kw_only=True)
class TrackReport(SeparationReport):
    """Report of a separated, skipped or planned track.

    Attributes:
        input: The file.
        stems: File of each stem.
        skipped: True if all stems were finished already.
        note: Line for the user about stems that were there before; empty if there is nothing to say.
        gain: Common gain of all stems, 1 if none was needed.
        audio_tracks: Numbers, names and languages of the audio tracks of a file that has several.
        audio_track: Number of the separated one, from 1.
    """

    input: Path
    stems: dict[str, Path]
    skipped: bool = False
    note: str = ""
    gain: float = 1.0
    audio_tracks: tuple[str, ...] = ()
    audio_track: int = 1

    @property
    def track_line(self) -> str:
        """Line about the separated audio track; empty for files with one."""
        if not self.audio_tracks:
            return ""
        others = ", ".join(self.audio_tracks)
        return (
            f"audio track {self.audio_tracks[self.audio_track - 1]} of: {others}; --audio-track takes another"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON. A level of -inf becomes -999."""
        stems = {name: str(path) for name, path in self.stems.items()}
        # The input comes first.
        return {"input": ""} | super().as_dict() | {"input": str(self.input), "stems": stems}


def remark_lines(remarks: Remarks, path: str, label: str) -> dict[str, Any]:
    """Remarks about a file as figures of its report, with the name that the user knows in place of `path`."""

    def named(lines: Iterable[str]) -> tuple[str, ...]:
        return tuple(line.replace(path, label) for line in lines)

    truncation = named([remarks.truncation] if remarks.truncation else [])
    return {
        "notes": named(remarks.notes),
        "losses": named(remarks.losses),
        "truncation": next(iter(truncation), None),
    }


class MeanConfidence:
    """Mean confidence of chunks; a figure that is NaN for a chunk is left out."""

    def __init__(self) -> None:
        self._noted: dict[str, list[float]] = {"silhouette": [], "posterior": []}

    def note(self, confidence: Confidence) -> None:
        """Add the confidence of one or more chunks."""
        for name, values in self._noted.items():
            values.extend(value for value in getattr(confidence, name).tolist() if not math.isnan(value))

    @property
    def figures(self) -> dict[str, float | None] | None:
        """Means in [-1, 1], each None if no chunk has the figure; None without chunks."""
        if not any(self._noted.values()):
            return None
        return {
            name: float(torch.tensor(values, dtype=torch.float64).mean()) if values else None
            for name, values in self._noted.items()
        }


class PartsProgress:
    """Callback that reports the progress of models of which each separates the whole recording by itself."""

    def __init__(self, models: int, duration: float | None, progress: Progress | None) -> None:
        self._models, self._duration, self._progress = models, duration, progress
        self._done = 0.0

    def __call__(self, seconds: float) -> None:
        """Add the seconds that a model has taken."""
        self._done += seconds / self._models
        if self._progress is not None:
            self._progress(self._done, max(self._duration or 0.0, self._done))
