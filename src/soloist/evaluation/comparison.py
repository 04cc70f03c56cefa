"""Significance tests between the best system and the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from soloist.evaluation.results import FEW_TRACKS, SystemResults, all_targets, best_first
from soloist.metrics import PairedTest, holm, paired_test, summarize


@dataclass(frozen=True)
class Comparison:
    """Comparison of the best system for a target with another one, on the tracks of both.

    Attributes:
        target: The target.
        best: Name of the system with the best median SDR.
        other: Name of the other system.
        test: Wilcoxon signed-rank test of the SDR.
        p_value: p-value of the test, adjusted by Holm's method for the number of comparisons for the target.
    """

    target: str
    best: str
    other: str
    test: PairedTest
    p_value: float


def compare_with_best(systems: Sequence[SystemResults]) -> list[Comparison]:
    """Compare the best system for each target with every other one that shares `FEW_TRACKS` tracks with it.

    Raises:
        UsageError: scipy is not installed.
    """
    return [comparison for target in all_targets(systems) for comparison in _compare(systems, target)]


def _compare(systems: Sequence[SystemResults], target: str) -> list[Comparison]:
    best, *others = best_first(systems, target)
    scores = _by_track(best, target)
    tests = {}
    for other in others:
        theirs = _by_track(other, target)
        shared = [track for track in scores if track in theirs]
        if len(shared) >= FEW_TRACKS:
            tests[other.name] = paired_test(
                [scores[track] for track in shared], [theirs[track] for track in shared]
            )
    adjusted = holm([test.p_value for test in tests.values()])
    return [
        Comparison(target, best.name, name, test, p_value)
        for (name, test), p_value in zip(tests.items(), adjusted, strict=True)
    ]


def _by_track(system: SystemResults, target: str) -> dict[str, float]:
    return {
        record.track: summarize(scores.frames["SDR"])
        for record in system.records
        for scores in record.targets
        if scores.name == target
    }
