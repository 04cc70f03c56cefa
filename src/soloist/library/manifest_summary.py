"""Summary of manifests: throughput, failures by kind, the slowest recordings, a table of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from soloist.library.manifest import find_parts, opened
from soloist.library.manifest_part import ManifestPart

_SLOWEST = 10
"""Number of the slowest recordings that are listed."""

_MODELS = """
SELECT c.model, count(*), sum(r.seconds), sum(r.elapsed), max(r.memory), max(r.null_dbfs)
FROM rows r JOIN conditions c ON c.id = r.conditions WHERE r.state = 'done' GROUP BY c.model ORDER BY 2 DESC
"""
_TOTALS = """
SELECT state, count(*), sum(seconds), sum(elapsed), min(finished - elapsed), max(finished)
FROM rows GROUP BY state
"""
_FAILURES = """
SELECT kind, count(*), min(id) FROM rows WHERE state = 'failed' GROUP BY kind ORDER BY 2 DESC, 1
"""
_SLOW = "SELECT id FROM rows WHERE state = 'done' ORDER BY elapsed DESC, id LIMIT ?"


@dataclass(frozen=True)
class ModelFigures:
    """Figures of a model.

    Attributes:
        model: Its name.
        files: Number of separated recordings.
        hours: Hours of their audio.
        speed: Seconds of audio in a second of a worker.
        memory: Largest memory of a worker, MB.
        null_dbfs: Highest level of a mixture minus the sum of its stems, dB of full scale.
    """

    model: str
    files: int
    hours: float
    speed: float
    memory: float | None
    null_dbfs: float | None


@dataclass(frozen=True)
class FailureFigures:
    """Failures of one kind.

    Attributes:
        kind: The kind; see `kind_of`.
        files: Number of recordings.
        row: Number of the first row; None in several parts together.
        example: Its line.
    """

    kind: str
    files: int
    row: int | None
    example: str


@dataclass(frozen=True)
class SlowRecording:
    """A recording that took long.

    Attributes:
        row: Number of its row; None in several parts together.
        input: Its path or URL.
        model: Its model.
        seconds: Seconds of audio.
        elapsed: Seconds of the separation.
    """

    row: int | None
    input: str
    model: str
    seconds: float
    elapsed: float


@dataclass(frozen=True)
class ManifestSummary:
    """Summary of one manifest, or of several together.

    Attributes:
        parts: Number of parts.
        separated: Number of recordings that were separated.
        found: Number of recordings whose stems were there before.
        failed: Number of recordings that failed.
        hours: Hours of audio that were separated.
        busy_hours: Hours that workers took for it.
        span_hours: Hours from the first beginning to the last end, pauses included.
        models: Figures of the models, the most used first.
        failures: Failures by kind, the most frequent first.
        slowest: Recordings that took longest.
    """

    parts: int
    separated: int
    found: int
    failed: int
    hours: float
    busy_hours: float
    span_hours: float
    models: tuple[ModelFigures, ...]
    failures: tuple[FailureFigures, ...]
    slowest: tuple[SlowRecording, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def summarize(given: Sequence[Path]) -> ManifestSummary:
    """Summarize the manifests of output folders; of rows of the same work, the newest counts.

    Args:
        given: Output folders, folders of manifests, or parts.

    Raises:
        UsageError: A folder has no manifest.
        SoloistError: A part is damaged.
    """
    paths = list(dict.fromkeys(part for path in given for part in find_parts(path)))
    with opened(paths) as manifest:
        return _summarize(manifest, len(paths))


def _summarize(manifest: ManifestPart, parts: int) -> ManifestSummary:
    totals = {state: figures for state, *figures in manifest.database.execute(_TOTALS)}
    count = {state: totals[state][0] if state in totals else 0 for state in ("done", "found", "failed")}
    _, seconds, elapsed, begun, ended = totals.get("done", (0, 0.0, 0.0, 0.0, 0.0))
    return ManifestSummary(
        parts,
        count["done"],
        count["found"],
        count["failed"],
        (seconds or 0.0) / 3600,
        (elapsed or 0.0) / 3600,
        (ended - begun) / 3600,
        tuple(
            ModelFigures(model, files, (audio or 0.0) / 3600, _ratio(audio, busy), memory, level)
            for model, files, audio, busy, memory, level in manifest.database.execute(_MODELS)
        ),
        tuple(
            FailureFigures(kind, files, row if parts == 1 else None, manifest.row(row).error)
            for kind, files, row in manifest.database.execute(_FAILURES).fetchall()
        ),
        tuple(
            _slow(manifest, row, parts) for (row,) in manifest.database.execute(_SLOW, (_SLOWEST,)).fetchall()
        ),
    )


def _slow(manifest: ManifestPart, number: int, parts: int) -> SlowRecording:
    row = manifest.row(number)
    shown = number if parts == 1 else None
    return SlowRecording(shown, row.input, row.conditions.model, row.seconds or 0.0, row.elapsed)


def _ratio(seconds: float | None, elapsed: float | None) -> float:
    return (seconds or 0.0) / elapsed if elapsed else 0.0
