"""Curriculum: examples of each batch, in phases of other lengths and batch sizes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import mul

from soloist.mixing import Example, Mixer, arguments_of
from soloist.training.recipe.sections import DataConfig


class Curriculum:
    """Numbers of the examples of each batch, with other batch sizes in the first epochs.

    Batches and examples are numbered throughout a training. Epoch and phase are functions of these numbers,
    so that a resumed training needs no state.

    Args:
        batches: Steps of an epoch.
        batch_size: Examples of a step after the last phase.
        phases: For each phase the epoch before which it ends, and its batch size.
    """

    def __init__(self, batches: int, batch_size: int, phases: Sequence[tuple[int, int]] = ()) -> None:
        self.batches = batches
        self.batch_sizes = (*(size for _, size in phases), batch_size)
        self._first_batches = [0, *(until * batches for until, _ in phases)]
        lengths = (end - start for start, end in pairwise(self._first_batches))
        self._first_examples = [0, *accumulate(map(mul, lengths, self.batch_sizes))]

    @classmethod
    def of(cls, data: DataConfig) -> Curriculum:
        """Curriculum of a recipe's section `data`."""
        phases = [(phase.until, phase.batch_size or data.batch_size) for phase in data.phases]
        return cls(data.batches, data.batch_size, phases)

    def examples(self, batch: int) -> range:
        """Numbers of the examples of batch number `batch`."""
        phase = bisect_right(self._first_batches, batch) - 1
        size = self.batch_sizes[phase]
        first = self._first_examples[phase] + (batch - self._first_batches[phase]) * size
        return range(first, first + size)

    def epoch(self, example: int) -> tuple[int, range]:
        """Epoch of example number `example`, and the numbers of the epoch's examples."""
        phase = self.phase(example)
        size = self.batch_sizes[phase]
        batch = self._first_batches[phase] + (example - self._first_examples[phase]) // size
        epoch = batch // self.batches
        first = self._first_examples[phase] + (epoch * self.batches - self._first_batches[phase]) * size
        return epoch, range(first, first + self.batches * size)

    def phase(self, example: int) -> int:
        """Index of the phase of example number `example`."""
        return bisect_right(self._first_examples, example) - 1


class PhasedMixer(Mixer):
    """Draws each example from the mixer of its phase.

    Args:
        mixers: One for each phase, with examples of other durations.
        curriculum: Maps examples to phases.
        numbers: Number of examples; number `n + k * numbers` replaces an unreadable example `n`, and belongs
            to the same phase.
    """

    def __init__(self, mixers: Sequence[Mixer], curriculum: Curriculum, numbers: int) -> None:
        super().__init__(**arguments_of(mixers[-1]))
        self.mixers = tuple(mixers)
        self.curriculum = curriculum
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.mixers[-1])

    def draw(self, index: int) -> Example:
        """Draw example number `index`; see `Mixer.draw`."""
        return self.mixers[self.curriculum.phase(index % self.numbers)].draw(index)
