"""Doing a part of a job to see what it takes."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor

from soloist.inference.engines import Engine, Estimate
from soloist.inference.file_job import FileJob, FileSettings
from soloist.inference.inputs import Track
from soloist.separators import Note, Separator

Enough = Callable[[Sequence[float]], bool]
"""Whether a rehearsal has shown what it was to show, from the seconds of each batch of chunks so far."""


@dataclass(frozen=True)
class Rehearsal:
    """What a part of a job took.

    Attributes:
        calls: Seconds of each batch of chunks.
        outside: Seconds of all else, such as reading and writing; None where it was broken off.
    """

    calls: tuple[float, ...]
    outside: float | None


def rehearse(
    job: FileJob,
    track: Track,
    settings: FileSettings,
    engine: Engine,
    enough: Enough = lambda calls: False,
) -> Rehearsal:
    """Separate a file as a job does, into stems that are thrown away.

    Args:
        job: What is done.
        track: A file.
        settings: What is separated of it, and how; the folder does not count.
        engine: What runs the separator.
        enough: Whether it is to be broken off.

    Raises:
        AudioError: The file cannot be read.
    """
    watched, part, outside = _Watched(engine, enough), copy.copy(job), None
    with tempfile.TemporaryDirectory(prefix="soloist-") as folder, suppress(_Enough):
        part.settings = replace(settings, folder=Path(folder), skip_existing=False)
        outside = part.run(track, engine=watched).elapsed - sum(watched.calls)
    return Rehearsal(tuple(watched.calls), outside)


class Idle:
    """An engine that does nothing: each estimate is the mixture.

    Args:
        separator: Says how many sources there are.
    """

    name = "idle"
    device = "cpu"

    def __init__(self, separator: Separator) -> None:
        self._num_sources = len(separator.sources)

    def __call__(self, mixture: Tensor) -> Tensor:
        """A batch of chunks `(batch, channels, samples)` to `(batch, sources, channels, samples)`."""
        return mixture[:, None].repeat(1, self._num_sources, 1, 1)

    def follow(self, note: Note | None = None) -> None:
        """It remembers nothing."""
        return None


class _Enough(Exception):  # noqa: N818 - nothing went wrong
    """A rehearsal has shown what it was to show."""


class _Watched:
    """An engine whose seconds are written down, until these are enough."""

    def __init__(self, engine: Engine, enough: Enough) -> None:
        self.name, self.device = engine.name, engine.device
        self.calls: list[float] = []
        self._engine = engine
        self._enough = enough

    def __call__(self, mixture: Tensor) -> Tensor:
        return self._timed(self._engine, mixture)

    def follow(self, note: Note | None = None) -> Estimate | None:
        following = self._engine.follow(note)
        return None if following is None else partial(self._timed, following)

    def _timed(self, estimate: Estimate, mixture: Tensor) -> Tensor:
        if self._enough(self.calls):
            raise _Enough
        begun = time.perf_counter()
        estimates = estimate(mixture)
        self.calls.append(time.perf_counter() - begun)
        return estimates
