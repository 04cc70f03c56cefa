"""Batches of examples, the same for any number of workers and processes, and after a resumption."""

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
"""Number of unreadable examples in a row after which a training stops."""

RETRY_STRIDE = 1 << 40
"""Offset of the numbers of examples that replace unreadable ones, beyond all others."""


class Skip(NamedTuple):
    """Unreadable example.

    Attributes:
        file: Damaged file.
        reason: Error of reading it.
    """

    file: str
    reason: str


SkipCounts = dict[str, dict[str, Any]]
"""By file the number of lost `examples`, and the `reason`; plain values, for JSON and checkpoints."""


@dataclass
class ExampleBatch:
    """Batch of examples.

    Attributes:
        mixture: `(batch, channels, samples)`.
        references: `(batch, sources, channels, samples)`.
        names: Recordings that each example is made of.
        skipped: Unreadable examples that others replaced.
    """

    mixture: Tensor
    references: Tensor
    names: list[str]
    skipped: list[Skip]

    def pin_memory(self) -> ExampleBatch:
        """Copy the audio to page-locked memory, from which a GPU fetches it asynchronously."""
        return ExampleBatch(self.mixture.pin_memory(), self.references.pin_memory(), self.names, self.skipped)


class ExampleDataset(Dataset[tuple[Example, list[Skip]]]):
    """Examples of a mixer by their number; another example replaces an unreadable one, and a `Skip` says so.

    Args:
        mixer: Draws the examples.
    """

    def __init__(self, mixer: Mixer) -> None:
        self.mixer = mixer

    def __getitem__(self, index: int) -> tuple[Example, list[Skip]]:
        """Draw example number `index`, with the unreadable ones that it replaces.

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

    Batches are numbered throughout a training, and an epoch is a fixed number of batches: a step has the same
    examples for any number of processes, and after a resumption.

    Args:
        curriculum: Maps batches to examples.
        next_batch: Gives the number of the next batch when an epoch begins or goes on.
        rank: Index of the process.
        world_size: Number of processes.

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
    """Divide a batch by the number of processes.

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
    """Divide a fixed set of examples into batches for one of several processes; the last may be smaller.

    All processes get equally many: `count` is rounded up to a multiple of `world_size`.

    Args:
        count: Number of examples.
        batch_size: Examples of a batch, of all processes together.
        rank: Index of the process.
        world_size: Number of processes.
    """
    share = share_of(batch_size, world_size)
    mine = range(rank, -(-count // world_size) * world_size, world_size)
    return [list(mine[start : start + share]) for start in range(0, len(mine), share)]


def make_loader(
    mixer: Mixer, batches: Sampler[list[int]] | Sequence[list[int]], *, workers: int, pin_memory: bool = False
) -> DataLoader[tuple[Example, list[Skip]]]:
    """Make a loader that prepares batches in other processes.

    Args:
        mixer: Draws the examples.
        batches: Numbers of the examples of each batch.
        workers: Number of processes; 0 prepares batches in this one.
        pin_memory: Use page-locked memory, for a GPU.
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
    """Loader whose workers ignore Ctrl-C from the start."""

    def __iter__(self) -> Any:
        with without_interrupts():
            return super().__iter__()


def count_skips(skipped: Iterable[Skip]) -> SkipCounts:
    """Count the lost examples of each unreadable file."""
    counts: SkipCounts = {}
    for skip in skipped:
        add_counts(counts, {skip.file: {"examples": 1, "reason": skip.reason}})
    return counts


def add_counts(total: SkipCounts, more: SkipCounts) -> None:
    """Add `more` to `total`, in place."""
    for file, told in more.items():
        known = total.setdefault(file, {"examples": 0, "reason": told["reason"]})
        known["examples"] += told["examples"]


def collate(drawn: Sequence[tuple[Example, list[Skip]]]) -> ExampleBatch:
    """Make a batch of examples of the same length."""
    examples = [example for example, _ in drawn]
    return ExampleBatch(
        torch.stack([torch.from_numpy(example.mixture) for example in examples]),
        torch.stack([torch.from_numpy(example.references) for example in examples]),
        [example.name for example in examples],
        [skip for _, skipped in drawn for skip in skipped],
    )


def _begin_work(worker: int) -> None:
    """Set up a worker: one thread, since workers share the cores with the training, and no Ctrl-C."""
    torch.set_num_threads(1)
    # For systems without signal masks, see without_interrupts.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = _pass_over_closed_pipes


def _pass_over_closed_pipes(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Ignore broken pipes after the training process exits.

    The thread of ``multiprocessing`` that hands tensors over reports errors through ``sys.excepthook``.
    PyTorch raises errors of preparing a batch in the training process, not here.
    """
    if not issubclass(kind, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)
