"""Batches of examples: the same ones for any number of workers and processes, from any step on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from soloist.errors import AudioError, SoloistError
from soloist.mixing.example import Example, Mixer

MAX_SKIPS = 20
"""Examples that cannot be read, one after the other, after which the corpus is given up."""

_RETRY_STRIDE = 1 << 40
"""Numbers of the examples that replace unreadable ones begin here, beyond all others."""


@dataclass
class Batch:
    """Examples side by side.

    Attributes:
        mixture: `(batch, channels, samples)`.
        references: `(batch, sources, channels, samples)`.
        names: What each was made of.
        skipped: Why examples that had been drawn first could not be read.
    """

    mixture: Tensor
    references: Tensor
    names: list[str]
    skipped: list[str]

    def pin_memory(self) -> Batch:
        """Put the audio where a GPU can fetch it by itself."""
        return Batch(self.mixture.pin_memory(), self.references.pin_memory(), self.names, self.skipped)


class ExampleDataset(Dataset[tuple[Example, list[str]]]):
    """Examples of a mixer by their number; one that cannot be read is replaced by another, and told.

    Args:
        mixer: Draws the examples.
    """

    def __init__(self, mixer: Mixer) -> None:
        self.mixer = mixer

    def __getitem__(self, index: int) -> tuple[Example, list[str]]:
        """Example number `index`, and what was wrong with those that it replaces.

        Raises:
            SoloistError: Too many in a row cannot be read.
        """
        skipped: list[str] = []
        for attempt in range(MAX_SKIPS):
            try:
                return self.mixer.draw(index + attempt * _RETRY_STRIDE), skipped
            except AudioError as error:
                skipped.append(str(error))
        raise SoloistError(
            f"{MAX_SKIPS} examples in a row cannot be read, the last one because: {skipped[-1]}"
        )


class BatchSampler(Sampler[list[int]]):
    """Numbers of the examples of one epoch, batch by batch, for one of several processes.

    The examples of a step are the same however many processes share them.

    Args:
        batch_size: Examples of a step in each process.
        batches: Steps of an epoch.
        rank: Which of the processes.
        world_size: How many processes.
        first_batch: Step to begin the first epoch with, where one was interrupted.
    """

    def __init__(
        self, batch_size: int, batches: int, *, rank: int = 0, world_size: int = 1, first_batch: int = 0
    ) -> None:
        self.batch_size = batch_size
        self.batches = batches
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self._first_batch = first_batch

    def set_epoch(self, epoch: int) -> None:
        """Go on with an epoch's examples."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        first, self._first_batch = self._first_batch, 0
        for batch in range(first, self.batches):
            step = self.epoch * self.batches + batch
            start = (step * self.world_size + self.rank) * self.batch_size
            yield list(range(start, start + self.batch_size))


def make_loader(
    mixer: Mixer, batches: Sampler[list[int]] | Sequence[list[int]], *, workers: int, pin_memory: bool = False
) -> DataLoader[tuple[Example, list[str]]]:
    """A loader of batches that are prepared in other processes.

    Args:
        mixer: Draws the examples.
        batches: Numbers of the examples of each batch.
        workers: Number of processes; 0 prepares them in this one.
        pin_memory: Whether a GPU fetches them.
    """
    parallel = {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
    return DataLoader(
        ExampleDataset(mixer),
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        worker_init_fn=partial(_one_thread) if workers else None,
        **parallel,  # type: ignore[arg-type]
    )


def in_batches(count: int, batch_size: int) -> list[list[int]]:
    """Numbers of `count` examples in batches; the last may be smaller."""
    return [list(range(start, min(start + batch_size, count))) for start in range(0, count, batch_size)]


def collate(drawn: Sequence[tuple[Example, list[str]]]) -> Batch:
    """Examples side by side; they are of the same length."""
    examples = [example for example, _ in drawn]
    return Batch(
        torch.stack([torch.from_numpy(example.mixture) for example in examples]),
        torch.stack([torch.from_numpy(example.references) for example in examples]),
        [example.name for example in examples],
        [reason for _, reasons in drawn for reason in reasons],
    )


def _one_thread(worker: int) -> None:
    """Workers share the cores with the training: each is one thread."""
    torch.set_num_threads(1)
