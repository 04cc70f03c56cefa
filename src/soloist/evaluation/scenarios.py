"""Grouping of targets into runs of BSS Eval."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from soloist.datasets import components
from soloist.errors import UsageError

_PARTNERS = {"accompaniment": "vocals", "harmonic": "percussive", "percussive": "harmonic"}


@dataclass(frozen=True)
class Scenario:
    """Targets of one run of BSS Eval.

    Attributes:
        references: Targets that add up to the mixture, without overlap.
        scored: Targets whose scores count, the first of `references`.
    """

    references: tuple[str, ...]
    scored: tuple[str, ...]


def complement(stem: str) -> str:
    """Name of the union of all other stems."""
    return "accompaniment" if stem == "vocals" else f"no_{stem}"


def scenarios(targets: Collection[str], stems: Sequence[str]) -> list[Scenario]:
    """Group targets into runs, in each of which every part of the mixture occurs once.

    The references tell interference from artefacts, so a run always has references for the whole mixture,
    whichever targets have estimates. A union is scored against its complement, and so is a stem whose
    complement has an estimate: vocals and accompaniment make a run of their own, as in SiSEC.

    Args:
        targets: Names of the estimates.
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
    """Names of the estimates that add up to the accompaniment; empty without vocals or with accompaniment."""
    names = tuple(estimated)
    if "vocals" not in names or "accompaniment" in names:
        return ()
    return tuple(name for name in names if name != "vocals")
