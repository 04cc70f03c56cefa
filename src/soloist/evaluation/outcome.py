"""What becomes of a track under evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from soloist.evaluation.records import TrackRecord


@dataclass(frozen=True)
class Outcome:
    """What became of a track.

    Attributes:
        track: Its name.
        record: Its scores; None where there are none.
        resumed: Whether the scores were there already.
        failure: Why there are no scores; empty where there is no fault.
    """

    track: str
    record: TrackRecord | None = None
    resumed: bool = False
    failure: str = ""

    @property
    def complete(self) -> bool:
        """Whether all that is there of the track was scored."""
        return self.record is not None and not self.record.refused
