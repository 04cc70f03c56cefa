"""Results of systems that never ran, for tests of tables and reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from soloist.datasets import StemTrack
from soloist.evaluation import Outcome, TargetScores, TrackRecord
from soloist.evaluation.listening_excerpts import write_excerpts
from soloist.evaluation.matching import LoadedTrack
from soloist.evaluation.outcomes import write_failures
from soloist.evaluation.records import FRAME_METRICS, SeparationCost, system_folder
from stem_corpora import noises


class _Noise(StemTrack):
    """A track whose mixture is given."""

    def mixture_blocks(self, length: int = 65536):
        yield np.sum(list(noises(("vocals", "other")).values()), axis=0)


def write_system(
    results: Path,
    system: str,
    *,
    mean: float,
    tracks: int = 6,
    failures: Mapping[str, str] | None = None,
    listen: bool = False,
) -> Path:
    """Write a system's folder: records of normally distributed scores, and perhaps an excerpt to hear."""
    folder = system_folder(results, system)
    generator = np.random.default_rng(len(system))
    for index in range(tracks):
        targets = tuple(
            TargetScores(
                target,
                {metric: generator.normal(mean, 2.0, 5).tolist() for metric in FRAME_METRICS},
                {"SI-SDR": mean, "uSDR": mean},
            )
            for target in ("vocals", "accompaniment")
        )
        cost = SeparationCost(elapsed=1.25, peak_memory=510.0 + index, device="cpu")
        TrackRecord(system, f"song {index}", targets, duration=5.0, cost=cost).write(folder)
    write_failures(folder, [Outcome(name, failure=reason) for name, reason in (failures or {}).items()])
    if listen:
        references = noises(("vocals", "other"))
        loaded = LoadedTrack(references, 8000)
        loaded.estimates = {"vocals": 0.5 * references["vocals"], "accompaniment": references["other"]}
        write_excerpts(folder, _Noise("song 0", {}), loaded)
    return folder
