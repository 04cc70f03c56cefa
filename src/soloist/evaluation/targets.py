"""Targets: the stems of a track and the unions of them that systems estimate, and what is scored together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soloist.errors import UsageError

Audio = NDArray[np.float32]

_PARTNERS = {"accompaniment": "vocals", "harmonic": "percussive", "percussive": "harmonic"}
_STEM_OF = {"accompaniment": "vocals", "harmonic": "drums", "percussive": "drums"}


@dataclass(frozen=True)
class Scenario:
    """Targets that are scored in one run.

    Attributes:
        references: Targets that add up to the mixture, each part of it in one of them.
        scored: Those whose scores count; they come first in `references`.
    """

    references: tuple[str, ...]
    scored: tuple[str, ...]


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


def complement(stem: str) -> str:
    """The name of everything but a stem."""
    return "accompaniment" if stem == "vocals" else f"no_{stem}"


def scenarios(targets: Collection[str], stems: Sequence[str]) -> list[Scenario]:
    """Group targets into runs, in each of which every part of the mixture occurs once.

    Interference and artefacts are told apart by the references that there are, so a run always has all
    of them, whichever targets were estimated. A union is scored against its complement, and so is a stem
    whose complement was estimated too: vocals and accompaniment make a run of their own, as in SiSEC.

    Args:
        targets: What was estimated.
        stems: Names of the track's stems.

    Raises:
        UsageError: The track does not have a target.
    """
    unknown = [target for target in targets if not components(target, stems)]
    if unknown:
        raise UsageError(f"no reference for {', '.join(unknown)}: there are {', '.join(stems)}")
    pairs: dict[frozenset[str], Scenario] = {}
    for union in (target for target in targets if target not in stems):
        partner = _PARTNERS.get(union, union.removeprefix("no_"))
        pair = [name for name in (partner, union) if name in targets]
        rest = [name for name in (partner, union) if name not in targets]
        pairs[frozenset((partner, union))] = Scenario((*pair, *rest), tuple(pair))
    paired = frozenset[str]().union(*pairs) if pairs else frozenset[str]()
    plain = tuple(name for name in stems if name in targets and name not in paired)
    others = tuple(name for name in stems if name not in plain)
    runs = [Scenario((*plain, *others), plain)] if plain else []
    return [*runs, *pairs.values()]


def accompaniment_parts(estimated: Iterable[str]) -> tuple[str, ...]:
    """The estimates that add up to the accompaniment, for a system that separates vocals from other stems."""
    names = tuple(estimated)
    if "vocals" not in names or "accompaniment" in names:
        return ()
    return tuple(name for name in names if name != "vocals")
