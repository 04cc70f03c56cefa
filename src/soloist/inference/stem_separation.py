"""Separation of blocks into the selected stems, with progress, cancellation and findings."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from soloist.audio import Audio
from soloist.errors import Interrupted
from soloist.inference.engine_selection import SelectedEngine
from soloist.inference.stem_selection import NullTest, StemSelection
from soloist.inference.stream import StreamSettings, separate_stream
from soloist.inference.track_report import MeanConfidence, PartsProgress, Progress
from soloist.separators import CompositeSeparator, Level, Separator
from soloist.separators.composite_separator import leaves


class Cancel(Protocol):
    """Request to stop, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """True as soon as the work shall stop."""
        ...


class EitherCancel:
    """Request to stop, by the caller or by the program itself.

    Args:
        given: Request of the caller.
    """

    def __init__(self, given: Cancel | None) -> None:
        self._given = given
        self._own = threading.Event()

    def set(self) -> None:
        """Request the stop."""
        self._own.set()

    def is_set(self) -> bool:
        """True as soon as either of them has requested the stop."""
        return self._own.is_set() or (self._given is not None and self._given.is_set())


@dataclass(frozen=True)
class Watch:
    """Observer of a separation.

    Attributes:
        progress: Callback that receives the progress; what it raises ends the separation.
        cancel: Request to stop.
    """

    progress: Progress | None = None
    cancel: Cancel | None = None

    def check(self) -> None:
        """Stop if that was requested.

        Raises:
            Interrupted: It was requested.
        """
        if self.cancel is not None and self.cancel.is_set():
            raise Interrupted("the separation was cancelled")

    def follow(self, blocks: Iterable[Audio]) -> Iterator[Audio]:
        """Pass blocks on, until a stop is requested."""
        for block in blocks:
            self.check()
            yield block

    def advance(self, done: float, total: float | None) -> None:
        """Report progress in seconds, unless a stop is requested.

        Raises:
            Interrupted: A stop was requested.
        """
        self.check()
        if self.progress is not None:
            self.progress(done, max(total or 0.0, done))


@dataclass
class Findings:
    """Findings of a separation.

    Attributes:
        confidence: Clustering confidence of the chunks.
        null_test: Level of the mixture minus the stems.
        begun: Start of the separation, by `time.perf_counter`.
    """

    confidence: MeanConfidence = field(default_factory=MeanConfidence)
    null_test: NullTest = field(default_factory=NullTest)
    begun: float = field(default_factory=time.perf_counter)

    def figures(self, sample_rate: int) -> dict[str, Any]:
        """Figures for a `SeparationReport`; `sample_rate` is that of the recording, Hz."""
        return {
            "duration": self.null_test.samples / sample_rate,
            "elapsed": time.perf_counter() - self.begun,
            "null_dbfs": self.null_test.level,
            "confidence": self.confidence.figures,
        }


def separate_stems(
    separator: Separator,
    blocks: Iterable[Audio],
    sample_rate: int,
    *,
    selection: StemSelection,
    selected: SelectedEngine,
    settings: StreamSettings,
    level: Level | None,
    duration: float | None,
    watch: Watch,
    findings: Findings,
    ahead: bool = False,
) -> Iterator[tuple[Audio, Audio]]:
    """Separate blocks into the selected stems; memory does not depend on the length.

    Args:
        separator: The separator.
        blocks: Consecutive blocks `(channels, samples)`.
        sample_rate: Rate of the blocks, Hz.
        selection: Selected stems.
        selected: Engine and batch size.
        settings: Chunks, overlap, shifts.
        level: Level of the whole track, for a separator normalised by the track.
        duration: Seconds of all blocks; None if unknown.
        watch: Receives the progress, and may end the separation.
        findings: Receives the findings.
        ahead: Run the network in a thread while the last stems are taken; see `separate_stream`.

    Yields:
        Pairs of a block of the mixture `(channels, samples)` and its stems `(stems, channels, samples)`.
    """
    heard = None
    if isinstance(separator, CompositeSeparator) and separator.one_by_one:
        # The first part reads the whole file: progress is that of all parts.
        heard = PartsProgress(len(list(leaves(separator))), duration, watch.advance)
    pairs = separate_stream(
        separator,
        watch.follow(blocks),
        sample_rate,
        engine=selected.engine,
        level=level,
        settings=replace(settings, batch_size=selected.batch_size),
        note=findings.confidence.note,
        heard=heard,
        ahead=ahead,
    )
    for mixture, estimates in pairs:
        stems = selection.select(mixture, estimates, separator.sources)
        findings.null_test.add(mixture, stems)
        yield mixture, stems
        if heard is None:
            watch.advance(findings.null_test.samples / sample_rate, duration)
