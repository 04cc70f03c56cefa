"""What became of a track that was to be separated."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from soloist.separators.separator import Confidence


@dataclass(frozen=True)
class TrackReport:
    """What became of a track.

    Attributes:
        input: The file.
        model: Name of the model.
        stems: The file of each stem.
        duration: Seconds of audio separated.
        elapsed: Seconds that it took.
        device: What it was computed on.
        engine: What ran the model's network.
        skipped: Whether all stems were there already.
        null_dbfs: Level of the mixture minus the sum of the stems, dB of full scale, before levels are
            changed and samples are quantised.
        gain: The one gain that all stems were scaled with, 1 if none was needed.
        confidence: How clearly sources were told apart, for separators that know: `silhouette` and
            `posterior`, means over the chunks; see `Confidence`.
    """

    input: Path
    model: str
    stems: dict[str, Path]
    duration: float
    elapsed: float = 0.0
    device: str = ""
    engine: str = ""
    skipped: bool = False
    null_dbfs: float | None = None
    gain: float = 1.0
    confidence: dict[str, float | None] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON. A level of -inf becomes -999."""
        values = asdict(self) | {"real_time_factor": self.elapsed / self.duration if self.duration else 0.0}
        values["input"] = str(self.input)
        values["stems"] = {name: str(path) for name, path in self.stems.items()}
        if self.null_dbfs is not None:
            values["null_dbfs"] = max(-999.0, round(self.null_dbfs, 2))
        return values


class MeanConfidence:
    """The mean of what is noted chunk by chunk; figures that a chunk does not have are left out."""

    def __init__(self) -> None:
        self._noted: dict[str, list[float]] = {"silhouette": [], "posterior": []}

    def note(self, confidence: Confidence) -> None:
        """Take in one chunk, or several."""
        for name, values in self._noted.items():
            values.extend(value for value in getattr(confidence, name).tolist() if not math.isnan(value))

    @property
    def figures(self) -> dict[str, float | None] | None:
        """The means, each in [-1, 1] and None where no chunk has it; None where nothing was noted."""
        if not any(self._noted.values()):
            return None
        return {
            name: float(torch.tensor(values, dtype=torch.float64).mean()) if values else None
            for name, values in self._noted.items()
        }
