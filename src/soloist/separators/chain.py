"""Chain of separators: each takes the mixture, or a stem of another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from einops import rearrange

from soloist.audio import Audio, cut_blocks
from soloist.separators.composite_plans import MIXTURE, ChainPlan, PlannedStep
from soloist.separators.composite_separator import Blocks, CompositeSeparator, PartRunner, StoredPart
from soloist.separators.separator import Separator

_BLOCK = 1 << 15
"""Samples in which streams of the steps are put together."""


@dataclass(frozen=True)
class ChainStep:
    """A separator in a chain.

    Attributes:
        separator: The separator.
        takes: Stem that it separates: "mixture", or a stem of another step.
        stems: Names that the chain gives to its sources; sources that are left out are dropped. None for all,
            under their own names.
        rest: Name of what the named stems leave of the stem that the step takes; empty for none.
    """

    separator: Separator
    takes: str = MIXTURE
    stems: Mapping[str, str] | None = None
    rest: str = ""

    @property
    def plan(self) -> PlannedStep:
        """The step without its separator."""
        name = type(self.separator).__name__
        return PlannedStep(name, self.separator.sources, self.takes, self.stems, self.rest)


class Chain(CompositeSeparator):
    """Separators one after the other: vocals, then lead and backing, then the lead without its reverb.

    A step that names all stems of its separator, whose estimates add up to its input, or that names a rest,
    partitions the stem that it takes. If all steps do, then the stems that no step takes add up to the
    mixture.

    Args:
        steps: The steps, in any order.
        outputs: Names of the stems; None for all that no step takes.

    Raises:
        UsageError: A step takes a stem that no step makes, or waits for itself, or names a source that its
            separator does not have; two stems have one name; or there is no such output.
    """

    def __init__(self, steps: Sequence[ChainStep], outputs: Sequence[str] | None = None) -> None:
        self.steps = [step.plan for step in steps]
        self.plan = ChainPlan.of(self.steps, outputs)
        super().__init__([step.separator for step in steps], self.plan.outputs)
        # Plain, for whoever compares two chains by their attributes.
        self.design = tuple((step.takes, *step.named.items(), step.rest) for step in self.steps)

    def takes_mixture(self, place: int) -> bool:
        """True if the step takes the mixture."""
        return self.steps[place].takes == MIXTURE

    @property
    def remainder(self) -> str | None:
        """The rest of the mixture, or what is left of that by further steps."""
        stem = MIXTURE
        while len(rests := [step.rest for step in self.steps if step.takes == stem and step.rest]) == 1:
            stem = rests[0]
        return stem if stem in self.sources else None

    def only(self, sources: Sequence[str]) -> Separator:
        """The steps that these stems are made by, each as cheap as can be had."""
        kept = [source for source in self.sources if source in sources]
        places = self.plan.needed(self.steps, kept)
        used = {self.steps[place].takes for place in places} | set(kept)
        steps, stored = list[ChainStep](), dict[int, StoredPart]()
        for place in places:
            step, part = self.steps[place], self.parts[place]
            # The rest is what all named stems leave.
            stems = {a: b for a, b in step.named.items() if b in used or step.rest in used}
            rest = step.rest if step.rest in used else ""
            if place in self.stored:
                stored[len(steps)] = self.stored[place].only(list(stems))
            steps.append(ChainStep(part.only(list(stems)), step.takes, stems, rest))
        chain = Chain(steps, kept)
        chain.stored = stored
        return chain

    def combine(self, blocks: Blocks, runner: PartRunner) -> Iterator[Audio]:
        """Run the steps over a stream; see `CompositeSeparator.combine`."""
        uses = self._uses()
        streams = {MIXTURE: list(runner.share(blocks, uses[MIXTURE]))}
        for place in self.plan.order:
            stems = [stem for stem in self.steps[place].gives for _ in range(uses.get(stem, 0))]
            made = runner.share(self._run(place, streams, runner), len(stems))
            for stem, copy in zip(stems, made, strict=True):
                stream = _pick(copy, self.steps[place].gives.index(stem))
                streams.setdefault(stem, []).append(stream)
        outputs = [cut_blocks(streams[stem].pop(), _BLOCK) for stem in self.sources]
        return (np.stack(pieces) for pieces in zip(*outputs, strict=True))

    def _uses(self) -> dict[str, int]:
        """Number of readers of each stream: steps, rests, and the output."""
        uses = dict.fromkeys(self.sources, 1)
        for step in self.steps:
            uses[step.takes] = uses.get(step.takes, 0) + (2 if step.rest else 1)
        return uses

    def _run(self, place: int, streams: dict[str, list[Blocks]], runner: PartRunner) -> Iterator[Audio]:
        """Stems that a step gives, `(stems, channels, samples)`."""
        step = self.steps[place]
        indices = [step.sources.index(source) for source in step.named]
        estimates = (block[indices] for block in runner.separate(place, streams[step.takes].pop()))
        if not step.rest:
            return estimates
        folded = (rearrange(block, "s c t -> (s c) t") for block in estimates)
        pairs = zip(cut_blocks(streams[step.takes].pop(), _BLOCK), cut_blocks(folded, _BLOCK), strict=True)
        return (_with_rest(whole, stems) for whole, stems in pairs)


def _pick(blocks: Blocks, index: int) -> Iterator[Audio]:
    """One of several stems in a stream."""
    return (block[index] for block in blocks)


def _with_rest(whole: Audio, folded: Audio) -> Audio:
    """Stems `(stems, channels, samples)`, and what they leave of the whole."""
    stems = rearrange(folded, "(s c) t -> s c t", c=len(whole))
    return np.concatenate([stems, (whole - stems.sum(axis=0))[None]])
