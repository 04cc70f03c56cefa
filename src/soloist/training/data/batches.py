"""Batches of examples: the same ones for any number of workers and processes, from any step on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from soloist.errors import AudioError, SoloistError, UsageError
from soloist.mixing import Example, Mixer
from soloist.resources import without_interrupts
from soloist.training.data.curriculum import Curriculum

MAX_SKIPS = 20
"""Examples that cannot be read, one after the other, after which the corpus is given up."""

RETRY_STRIDE = 1 << 40
"""Numbers of the examples that replace unreadable ones begin here, beyond all others."""


class Skip(NamedTuple):
    """An example that could not be read.

    Attributes:
        file: What is damaged.
        reason: What is wrong with it.
    """

    file: str
    reason: str


SkipCounts = dict[str, dict[str, Any]]
"""For each file the number of `examples` that it cost, and the `reason`: plain values, for files."""


@dataclass
class ExampleBatch:
    """Examples side by side.

    Attributes:
        mixture: `(batch, channels, samples)`.
        references: `(batch, sources, channels, samples)`.
        names: What each was made of.
        skipped: Examples that had been drawn first and could not be read.
    """

    mixture: Tensor
    references: Tensor
    names: list[str]
    skipped: list[Skip]

    def pin_memory(self) -> ExampleBatch:
        """Put the audio where a GPU can fetch it by itself."""
        return ExampleBatch(self.mixture.pin_memory(), self.references.pin_memory(), self.names, self.skipped)


class ExampleDataset(Dataset[tuple[Example, list[Skip]]]):
    """Examples of a mixer by their number; one that cannot be read is replaced by another, and told.

    Args:
        mixer: Draws the examples.
    """

    def __init__(self, mixer: Mixer) -> None:
        self.mixer = mixer

    def __getitem__(self, index: int) -> tuple[Example, list[Skip]]:
        """Example number `index`, and what was wrong with those that it replaces.

        Raises:
            SoloistError: Too many in a row cannot be read.
        """
        skipped: list[Skip] = []
        for attempt in range(MAX_SKIPS):
            try:
                return self.mixer.draw(index + attempt * RETRY_STRIDE), skipped
            except AudioError as error:
                skipped.append(Skip(error.path or str(error), str(error)))
        raise SoloistError(
            f"{MAX_SKIPS} examples in a row cannot be read, the last one because: {skipped[-1].reason}"
        )


class BatchSampler(Sampler[list[int]]):
    """Numbers of the training examples, batch by batch, for one of several processes.

    Batches are numbered throughout a training, and an epoch is just so many of them, so that the examples of
    a step are the same whoever shares them and wherever a training that was interrupted goes on.

    Args:
        curriculum: Says which examples a batch has.
        next_batch: Tells, when an epoch begins or goes on, which number its next batch has.
        rank: Which of the processes.
        world_size: How many processes.

    Raises:
        UsageError: The processes cannot share a batch equally.
    """

    def __init__(
        self,
        curriculum: Curriculum,
        next_batch: Callable[[], int],
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.curriculum = curriculum
        self.next_batch = next_batch
        self.rank = rank
        self.world_size = world_size
        for batch_size in curriculum.batch_sizes:
            share_of(batch_size, world_size)

    def __len__(self) -> int:
        return self.curriculum.batches

    def __iter__(self) -> Iterator[list[int]]:
        first = self.next_batch()
        for batch in range(first, first + len(self)):
            examples = self.curriculum.examples(batch)
            share = share_of(len(examples), self.world_size)
            yield list(examples[self.rank * share : (self.rank + 1) * share])


def share_of(batch_size: int, world_size: int) -> int:
    """Examples of a batch that each of several processes gets.

    Raises:
        UsageError: The processes cannot share a batch equally.
    """
    share, left = divmod(batch_size, world_size)
    if left or not share:
        raise UsageError(
            f"{world_size} processes cannot share batches of {batch_size} examples equally: "
            f"make data.batch_size a multiple of {world_size}"
        )
    return share


def in_batches(count: int, batch_size: int, *, rank: int = 0, world_size: int = 1) -> list[list[int]]:
    """Numbers of a fixed set of examples in batches, for one of several processes; the last may be smaller.

    All processes get equally many: `count` is rounded up to a multiple of their number.

    Args:
        count: How many examples.
        batch_size: Examples of a batch, of all processes together.
        rank: Which of the processes.
        world_size: How many processes.
    """
    share = share_of(batch_size, world_size)
    mine = range(rank, -(-count // world_size) * world_size, world_size)
    return [list(mine[start : start + share]) for start in range(0, len(mine), share)]


def make_loader(
    mixer: Mixer, batches: Sampler[list[int]] | Sequence[list[int]], *, workers: int, pin_memory: bool = False
) -> DataLoader[tuple[Example, list[Skip]]]:
    """A loader of batches that are prepared in other processes.

    Args:
        mixer: Draws the examples.
        batches: Numbers of the examples of each batch.
        workers: Number of processes; 0 prepares them in this one.
        pin_memory: Whether a GPU fetches them.
    """
    parallel = {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
    return _Loader(
        ExampleDataset(mixer),
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        worker_init_fn=_begin_work if workers else None,
        **parallel,  # type: ignore[arg-type]
    )


class _Loader(DataLoader[tuple[Example, list[Skip]]]):
    """A loader whose workers do not hear Ctrl-C from their first moment on."""

    def __iter__(self) -> Any:
        with without_interrupts():
            return super().__iter__()


def count_skips(skipped: Iterable[Skip]) -> SkipCounts:
    """For each file that could not be read, how many examples it cost, and what is wrong with it."""
    counts: SkipCounts = {}
    for skip in skipped:
        add_counts(counts, {skip.file: {"examples": 1, "reason": skip.reason}})
    return counts


def add_counts(total: SkipCounts, more: SkipCounts) -> None:
    """Add counts to others, in place."""
    for file, told in more.items():
        known = total.setdefault(file, {"examples": 0, "reason": told["reason"]})
        known["examples"] += told["examples"]


def collate(drawn: Sequence[tuple[Example, list[Skip]]]) -> ExampleBatch:
    """Examples side by side; they are of the same length."""
    examples = [example for example, _ in drawn]
    return ExampleBatch(
        torch.stack([torch.from_numpy(example.mixture) for example in examples]),
        torch.stack([torch.from_numpy(example.references) for example in examples]),
        [example.name for example in examples],
        [skip for _, skipped in drawn for skip in skipped],
    )


def _begin_work(worker: int) -> None:
    """Workers share the cores with the training, so each is one thread; Ctrl-C is not for them."""
    torch.set_num_threads(1)
    # Where interrupts cannot be put off for a while.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = _pass_over_closed_pipes


def _pass_over_closed_pipes(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say nothing of a training that went away while a batch was handed over: it has said so itself.

    The thread of ``multiprocessing`` that hands tensors over reports what fails through ``sys.excepthook``.
    What fails while a batch is prepared does not come here: PyTorch raises it in the training.
    """
    if not issubclass(kind, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)
