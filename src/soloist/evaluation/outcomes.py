"""Outcomes of tracks under evaluation, and the file of the failures among them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from soloist.errors import AudioError
from soloist.evaluation.records import TrackRecord
from soloist.files import json_text, write_whole

_FILE = "failures.json"


@dataclass(frozen=True)
class Outcome:
    """Outcome of the evaluation of a track.

    Attributes:
        track: Name of the track.
        record: Scores of the track; None if there are none.
        resumed: True if an earlier run made the scores.
        failure: Reason why there are no scores; else empty.
    """

    track: str
    record: TrackRecord | None = None
    resumed: bool = False
    failure: str = ""

    @property
    def complete(self) -> bool:
        """True if all estimates of the track have scores."""
        return self.record is not None and not self.record.refused


def write_failures(folder: Path, outcomes: Iterable[Outcome]) -> None:
    """Write why tracks have no scores into a system's folder; without failures remove the file."""
    path = folder / _FILE
    failures = {outcome.track: outcome.failure for outcome in outcomes if outcome.failure}
    if failures:
        write_whole(path, json_text(failures, indent=1))
    else:
        path.unlink(missing_ok=True)


def read_failures(folder: Path) -> dict[str, str]:
    """Read why tracks of a system have no scores, by the names of the tracks.

    Raises:
        AudioError: The file is damaged.
    """
    path = folder / _FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {str(track): str(reason) for track, reason in content.items()}
    except (ValueError, AttributeError) as error:
        raise AudioError(f"{path} is damaged; delete it") from error
