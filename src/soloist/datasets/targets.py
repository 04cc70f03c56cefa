"""Targets: the stems of a track, and the unions of them that systems estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from soloist.audio import Audio

_STEM_OF = {"accompaniment": "vocals", "harmonic": "drums", "percussive": "drums"}


def components(target: str, stems: Sequence[str]) -> tuple[str, ...]:
    """The stems that a target is the sum of.

    A stem is itself. `accompaniment` is everything but the vocals, `no_X` everything but X; `percussive` is
    the drums and `harmonic` everything else, as in evaluations of harmonic/percussive separation.

    Args:
        target: Name of a stem or of a union.
        stems: Names of the track's stems.

    Returns:
        Names of stems; empty where the track does not have the target.
    """
    if target in stems:
        return (target,)
    stem = _STEM_OF.get(target, target.removeprefix("no_"))
    if target == stem or stem not in stems:
        return ()
    others = tuple(name for name in stems if name != stem)
    return (stem,) if target == "percussive" else others


def sum_of(stems: Mapping[str, Audio], target: str) -> Audio:
    """The reference of a target: a stem, or the sum of those that a union is made of."""
    parts = [stems[name] for name in components(target, tuple(stems))]
    return parts[0] if len(parts) == 1 else np.sum(np.stack(parts), axis=0)
