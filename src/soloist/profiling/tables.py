"""Profiles as tables: for people, as Markdown, as CSV, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soloist.evaluation.tables import NO_VALUE, markdown_rows, write_csv
from soloist.profiling.runner import Measured, Profile
from soloist.profiling.timing import Timing

FACT_HEADINGS = ("model", "parameters", "trainable", "MB", "field (s)", "latency (s)", "chunk (s)")
"""Headings of `fact_rows`: `MB` on disk; the receptive field is on either side."""

COST_HEADINGS = (
    *("model", "engine", "device", "s", "batch", "GFLOP/s", "MB", "MB training"),
    *("forward (ms)", "real time", "backward (ms)"),
)
"""Headings of `cost_rows`: operations for a second of audio, peak memory, times of a batch with quartiles."""

FACT_WORDS, COST_WORDS = 1, 3
"""How many columns, from the left, hold words."""


def fact_rows(profiles: Sequence[Profile]) -> list[list[str]]:
    """A row for each model: its size, and how far it hears."""
    return [
        [
            facts.model,
            str(facts.parameters),
            str(facts.trainable),
            f"{facts.size / 1e6:.2f}",
            "unbounded" if facts.receptive_field is None else f"{facts.receptive_field:.4g}",
            f"{facts.latency:.4g}",
            f"{facts.chunk:.4g}",
        ]
        for facts in (profile.facts for profile in profiles)
    ]


def cost_rows(profiles: Sequence[Profile]) -> list[list[str]]:
    """A row for each model and case: what it costs."""
    return [
        [profile.facts.model, *_cost_cells(measured)] for profile in profiles for measured in profile.measured
    ]


def markdown_report(profiles: Sequence[Profile], machine: Mapping[str, str]) -> str:
    """Both tables, and what they were measured on."""
    described = "; ".join(f"{name}: {value}" for name, value in machine.items())
    tables = (
        markdown_rows(FACT_HEADINGS, fact_rows(profiles), words=FACT_WORDS),
        markdown_rows(COST_HEADINGS, cost_rows(profiles), words=COST_WORDS),
    )
    return "\n\n".join([*tables, f"Measured on {described}."]) + "\n"


def write_markdown(path: Path, profiles: Sequence[Profile], machine: Mapping[str, str]) -> None:
    """Write both tables as Markdown."""
    path.write_text(markdown_report(profiles, machine), encoding="utf-8")


def write_costs_csv(path: Path, profiles: Sequence[Profile]) -> None:
    """Write a row for each model and case: everything that was measured, in bytes, seconds and FLOPs."""
    rows = [_flat(profile, measured) for profile in profiles for measured in profile.measured]
    headings = list(dict.fromkeys(key for row in rows for key in row))
    write_csv(path, headings, ([row[key] for key in headings] for row in rows))


def write_json(
    path: Path, profiles: Sequence[Profile], machine: Mapping[str, str], failures: Mapping[str, Sequence[str]]
) -> None:
    """Write everything that was measured, on what, and what failed."""
    content = {
        "machine": dict(machine),
        "models": [
            {**asdict(profile.facts), "measured": [asdict(measured) for measured in profile.measured]}
            for profile in profiles
        ],
        "failures": {name: list(lines) for name, lines in failures.items()},
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def real_time_factor(measured: Measured) -> float:
    """Seconds of computing for a second of audio."""
    case = measured.case
    return measured.separating.time.median / (case.duration * case.batch)


def _cost_cells(measured: Measured) -> list[str]:
    case, separating, training = measured.case, measured.separating, measured.training
    return [
        *(case.engine, case.device, f"{case.duration:g}", str(case.batch)),
        NO_VALUE if separating.operations is None else f"{separating.operations / 1e9:.3f}",
        f"{separating.memory / 1e6:.1f}",
        NO_VALUE if training is None else f"{training.memory / 1e6:.1f}",
        _milliseconds(separating.time),
        f"{real_time_factor(measured):.4f}",
        NO_VALUE if training is None else _milliseconds(training.backward),
    ]


def _milliseconds(time: Timing) -> str:
    """The median, and the quartiles."""
    median, low, high = (f"{1e3 * seconds:.4g}" for seconds in (time.median, time.low, time.high))
    return f"{median} ({low}…{high})"


def _flat(profile: Profile, measured: Measured) -> dict[str, Any]:
    """One row of plain values."""
    separating, training = measured.separating, measured.training
    facts = asdict(profile.facts)
    del facts["quality"]
    return {
        **facts,
        **asdict(measured.case),
        "operations_per_second": separating.operations,
        "memory": separating.memory,
        **_flat_time("forward", separating.time),
        "real_time_factor": real_time_factor(measured),
        "training_memory": None if training is None else training.memory,
        **_flat_time("backward", None if training is None else training.backward),
    }


def _flat_time(name: str, time: Timing | None) -> dict[str, Any]:
    keys = ("median", "low", "high", "runs")
    return {f"{name}_{key}": None if time is None else getattr(time, key) for key in keys}
