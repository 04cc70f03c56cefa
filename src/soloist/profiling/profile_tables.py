"""Profiles as text tables, Markdown, CSV and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soloist.files import json_text
from soloist.profiling.profile_runs import Measured, Profile
from soloist.profiling.quality_against_cost import Rating
from soloist.resources import TimedRuns
from soloist.table_files import NO_VALUE, TextTable, format_csv

_FACTS = ("model", "parameters", "trainable", "MB", "field (s)", "latency (s)", "chunk (s)")
_COSTS = (
    *("model", "engine", "device", "s", "batch", "GFLOP per s of audio", "MB", "MB training", "MB process"),
    *("forward (ms)", "real time", "backward (ms)"),
)


def fact_table(profiles: Sequence[Profile], rating: Rating) -> TextTable:
    """Make a row for each model: parameters, size on disk, receptive field, latency, chunk and quality.

    Args:
        profiles: Profiles of the models.
        rating: Quality of the models; without values the column is left out.
    """
    rows = [
        [
            facts.model,
            str(facts.parameters),
            str(facts.trainable),
            f"{facts.size / 1e6:.2f}",
            "unbounded" if facts.receptive_field is None else f"{facts.receptive_field:.4g}",
            f"{facts.latency:.4g}",
            f"{facts.chunk:.4g}",
            *([rating.cell(facts.model)] if rating.values else []),
        ]
        for facts in (profile.facts for profile in profiles)
    ]
    return TextTable((*_FACTS, *([rating.name] if rating.values else [])), rows, words=1)


def cost_table(profiles: Sequence[Profile]) -> TextTable:
    """Make a row of costs for each model and case, without empty columns.

    Operations are for a second of audio, memory is the peak, times are for a batch, with quartiles, and "real
    time" is the time for a second of audio.
    """
    rows = [
        [profile.facts.model, *_cost_cells(measured)] for profile in profiles for measured in profile.measured
    ]
    kept = [place for place in range(len(_COSTS)) if any(row[place] != NO_VALUE for row in rows)]
    headings = tuple(_COSTS[place] for place in kept)
    return TextTable(headings, [[row[place] for place in kept] for row in rows], words=3)


def markdown_report(profiles: Sequence[Profile], machine: Mapping[str, str], rating: Rating) -> str:
    """Format both tables and the description of the machine as Markdown."""
    described = "; ".join(f"{name}: {value}" for name, value in machine.items())
    tables = [table.to_markdown() for table in (fact_table(profiles, rating), cost_table(profiles))]
    return "\n\n".join([*tables, f"Measured on {described}."]) + "\n"


def write_markdown(
    path: Path, profiles: Sequence[Profile], machine: Mapping[str, str], rating: Rating
) -> None:
    """Write both tables and the description of the machine as Markdown."""
    path.write_text(markdown_report(profiles, machine, rating), encoding="utf-8")


def write_costs_csv(path: Path, profiles: Sequence[Profile], rating: Rating) -> None:
    """Write a row for each model and case with all figures, in bytes, seconds and FLOPs.

    The last column is the quality of the rating.
    """
    rows = [
        {**_flat(profile, measured), "quality": rating.values.get(profile.facts.model)}
        for profile in profiles
        for measured in profile.measured
    ]
    path.write_text(format_csv(rows), encoding="utf-8", newline="")


def write_json(
    path: Path,
    profiles: Sequence[Profile],
    machine: Mapping[str, str],
    failures: Mapping[str, Sequence[str]],
    rating: Rating,
) -> None:
    """Write all figures, the machine, the failures and the rating."""
    content = {
        "machine": dict(machine),
        "given": asdict(rating),
        "models": [
            {**asdict(profile.facts), "measured": [asdict(measured) for measured in profile.measured]}
            for profile in profiles
        ],
        "failures": {name: list(lines) for name, lines in failures.items()},
    }
    path.write_text(json_text(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def real_time_factor(measured: Measured) -> float:
    """Seconds of computing for a second of audio."""
    case = measured.case
    return measured.separating.time.median / (case.duration * case.batch)


def _cost_cells(measured: Measured) -> list[str]:
    case, separating, training = measured.case, measured.separating, measured.training
    return [
        *(case.engine, case.device, f"{case.duration:g}", str(case.batch)),
        NO_VALUE if separating.operations is None else f"{separating.operations / 1e9:.3f}",
        NO_VALUE if separating.memory is None else f"{separating.memory / 1e6:.1f}",
        NO_VALUE if training is None else f"{training.memory / 1e6:.1f}",
        NO_VALUE if measured.process is None else f"{measured.process:.0f}",
        _milliseconds(separating.time),
        f"{real_time_factor(measured):.4f}",
        NO_VALUE if training is None else _milliseconds(training.backward),
    ]


def _milliseconds(time: TimedRuns) -> str:
    """Median and quartiles."""
    median, low, high = (_three_digits(1e3 * seconds) for seconds in (time.median, time.low, time.high))
    return f"{median} ({low}…{high})"


def _three_digits(value: float) -> str:
    """Format a value with three digits or more, without an exponent."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _flat(profile: Profile, measured: Measured) -> dict[str, Any]:
    """Row of plain values."""
    separating, training = measured.separating, measured.training
    facts = asdict(profile.facts)
    del facts["quality"]
    return {
        **facts,
        **asdict(measured.case),
        "operations_per_second_of_audio": separating.operations,
        "memory": separating.memory,
        "process_memory": None if measured.process is None else round(1e6 * measured.process),
        **_flat_time("forward", separating.time),
        "real_time_factor": real_time_factor(measured),
        "training_memory": None if training is None else training.memory,
        **_flat_time("backward", None if training is None else training.backward),
    }


def _flat_time(name: str, time: TimedRuns | None) -> dict[str, Any]:
    keys = ("median", "low", "high", "runs")
    return {f"{name}_{key}": None if time is None else getattr(time, key) for key in keys}
