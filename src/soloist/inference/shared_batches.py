"""Batches of chunks of several files: a thread separates each file, and the caller's runs the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Condition
from typing import TypeVar

import torch
from torch import Tensor

from soloist.errors import Interrupted
from soloist.inference.engines import Engine, Estimate
from soloist.inference.stem_separation import Cancel, EitherCancel
from soloist.separators import Note

T = TypeVar("T")
R = TypeVar("R")

_UNDER_WAY = 2
"""Fewest files under way: the network runs for one while another is read, joined and written."""

_ENDING = 2
"""Threads for files that are encoded, beside those of a batch."""

_CANCELLED = "the separation was cancelled"


@dataclass
class _Request:
    """Chunks that a file waits for.

    Attributes:
        estimate: Their estimator.
        mixture: The chunks `(chunks, channels, samples)`.
        taken: Number of chunks that are in a batch.
        estimates: Estimates of batches of them.
        error: Error of the estimator.
    """

    estimate: Estimate
    mixture: Tensor
    taken: int = 0
    estimates: list[Tensor] = field(default_factory=list)
    error: Exception | None = None

    @property
    def left(self) -> int:
        """Number of chunks that are in no batch yet."""
        return len(self.mixture) - self.taken

    @property
    def kind(self) -> tuple[Estimate, torch.Size]:
        """Estimator and shape of a chunk, which are those of all chunks of a batch."""
        return self.estimate, self.mixture.shape[1:]

    def take(self, most: int) -> Tensor:
        """The next chunks, at most so many."""
        begin, self.taken = self.taken, min(self.taken + most, len(self.mixture))
        return self.mixture[begin : self.taken]


@dataclass(frozen=True)
class _Part:
    """The chunks of a file in a batch."""

    member: BatchMember
    request: _Request
    mixture: Tensor


class BatchMember:
    """A file whose chunks share batches with those of others.

    Args:
        batches: The batches.

    Attributes:
        request: Chunks that the file waits for; None while it does not wait.
        has_left: True if the file needs no further chunks.
    """

    def __init__(self, batches: SharedBatches) -> None:
        self._batches = batches
        self.request: _Request | None = None
        self.has_left = False

    def share(self, engine: Engine) -> Engine:
        """The engine, with batches that have chunks of other files, too."""
        return _SharedEngine(engine, self._batches, self)

    def tell(self, call: Callable[[], object]) -> None:
        """Call a function in the thread of the network, soon."""
        with self._batches.changing():
            self._batches.told.append(call)

    def leave(self) -> None:
        """Ask for no further chunks."""
        with self._batches.changing():
            self.has_left = True

    def estimate(self, estimate: Estimate, mixture: Tensor) -> Tensor:
        """Estimates of chunks `(chunks, channels, samples)`.

        Raises:
            Interrupted: The separation of all files ends.
        """
        request, batches = _Request(estimate, mixture), self._batches
        with batches.changing():
            self.request = request
        with batches.changed:
            batches.changed.wait_for(lambda: self.request is None or batches.cancel.is_set())
        if request.error is not None:
            raise request.error
        if self.request is not None:
            raise Interrupted(_CANCELLED)
        return _joined(request.estimates)


class _SharedEngine:
    """The engine of a file whose chunks share batches; see `Engine`."""

    def __init__(self, engine: Engine, batches: SharedBatches, member: BatchMember) -> None:
        self._engine, self._batches, self._member = engine, batches, member
        self.name, self.device, self.precision = engine.name, engine.device, engine.precision

    @property
    def batch_limit(self) -> int | None:
        """Most chunks at once for which the memory sufficed; None if it did for every batch."""
        return self._engine.batch_limit

    def __call__(self, mixture: Tensor) -> Tensor:
        """Estimate `(batch, sources, channels, samples)` from chunks `(batch, channels, samples)`."""
        return self._member.estimate(self._engine, mixture)

    def follow(self, note: Note | None = None) -> Estimate | None:
        """Estimator of partitions, which need no chunk before; None for a separator without any."""
        following = self._batches.partitions_of(self._engine)
        return None if following is None else partial(self._member.estimate, following)


class SharedBatches:
    """Separates files in threads, and runs their engines in that of the caller, on chunks of several files.

    Files take turns. A batch has the next chunks of the file whose turn it is, and chunks of the same shape
    of the files behind it as far as there is room. Two files are under way, and more only where these do not
    fill a batch, so that memory does not grow with their number. The batches depend on the files alone, not
    on the speed of threads.

    Args:
        size: Most chunks in a batch.
        cancel: Request to stop.

    Attributes:
        cancel: The request, which is also set where one of the files ends all.
        changed: Lock of everything that the threads share, with notice of its changes.
        told: Calls that await the thread of the network.
    """

    def __init__(self, size: int, cancel: Cancel | None = None) -> None:
        self._size = size
        self.cancel = EitherCancel(cancel)
        self.changed = Condition()
        self.told: list[Callable[[], object]] = []
        self._members: list[BatchMember] = []
        self._partitions: dict[Engine, Estimate | None] = {}

    def run(self, items: Iterable[T], work: Callable[[T, BatchMember], R]) -> Generator[R, None, None]:
        """Call a function with each item in a thread.

        Args:
            items: The items.
            work: Separates a file with the engine of `BatchMember.share`; an error of it ends all.

        Yields:
            The results in the order of the items. If the caller stops early, the functions are ended.

        Raises:
            Interrupted: The request to stop was set.
        """
        waiting, running = deque(items), deque[Future[R]]()
        with ThreadPoolExecutor(self._size + _ENDING) as threads:

            def begin() -> bool:
                # Files whose chunks are of other shapes take no room in the batch, and are under way as well.
                if not waiting or len(self._members) >= self._size:
                    return False
                self._members.append(member := BatchMember(self))
                running.append(threads.submit(work, waiting.popleft(), member))
                running[-1].add_done_callback(lambda _: member.leave())
                return True

            try:
                while parts := self._collect(begin):
                    self._estimate(parts)
                    yield from self._ended(running, wait=False)
                yield from self._ended(running, wait=True)
            finally:
                with self.changing():
                    self.cancel.set()

    def partitions_of(self, engine: Engine) -> Estimate | None:
        """The estimator of an engine that all recordings have in common; see `Engine.follow`."""
        with self.changed:
            if engine not in self._partitions:
                self._partitions[engine] = engine.follow()
            return self._partitions[engine]

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock, and give notice of a change."""
        with self.changed:
            yield
            self.changed.notify_all()

    def _wait_for(self, ready: Callable[[], bool]) -> None:
        """Make the calls that threads ask for, until something is ready."""
        told: list[Callable[[], object]] = [self._check_cancelled]
        while told:
            for call in told:
                call()
            with self.changed:
                self.changed.wait_for(lambda: self.told or ready())
                told, self.told = self.told, []

    def _check_cancelled(self) -> None:
        if self.cancel.is_set():
            raise Interrupted(_CANCELLED)

    def _ended(self, running: deque[Future[R]], *, wait: bool) -> Iterator[R]:
        """Results of the first files, as far as these have ended."""
        while running and (wait or running[0].done()):
            future = running.popleft()
            self._wait_for(future.done)
            yield future.result()

    def _collect(self, begin: Callable[[], bool]) -> list[_Part]:
        """Parts of the next batch; none if all files have left."""
        parts: list[_Part] = []
        room, place = self._size, 0
        while room and (place < len(self._members) or begin()):
            while len(self._members) < _UNDER_WAY and begin():
                pass
            member = self._members[place]
            self._wait_for(lambda: member.request is not None or member.has_left)  # noqa: B023
            if member.request is None:
                del self._members[place]
                continue
            place += 1
            if not parts or member.request.kind == parts[0].request.kind:
                parts.append(_Part(member, member.request, member.request.take(room)))
                room -= len(parts[-1].mixture)
        # Files that have all they asked for go behind the others.
        served = [part.member for part in parts if not part.request.left]
        self._members = [member for member in self._members if member not in served] + served
        return parts

    def _estimate(self, parts: list[_Part]) -> None:
        """Estimate a batch; where that fails, each file by itself, so that an error is that of one file."""
        try:
            estimates = parts[0].request.estimate(_joined([part.mixture for part in parts]))
        except Exception as error:
            if len(parts) == 1:
                parts[0].request.error = error
                self._answer(parts[0].member)
                return
            for part in parts:
                self._estimate([part])
            return
        for part, own in zip(parts, estimates.split([len(part.mixture) for part in parts]), strict=True):
            part.request.estimates.append(own)
            if sum(map(len, part.request.estimates)) == len(part.request.mixture):
                self._answer(part.member)

    def _answer(self, member: BatchMember) -> None:
        """Let a file go on."""
        with self.changing():
            member.request = None


def _joined(tensors: list[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)
