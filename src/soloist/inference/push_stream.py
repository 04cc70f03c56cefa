"""Separation of sound as it arrives: blocks are pushed in, and finished samples of the stems come out."""

from __future__ import annotations

import math
import queue
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from types import TracebackType
from typing import SupportsFloat

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from soloist.audio import Audio
from soloist.errors import UsageError
from soloist.inference.causal_stream import CausalStream
from soloist.inference.engine_selection import SelectedEngine
from soloist.inference.engines.step_engines import StepEngine
from soloist.inference.loaded_models import LoadedModel, load_for
from soloist.inference.recording import to_block, whole_rate
from soloist.inference.stem_selection import Consistency, StemSelection
from soloist.inference.stem_separation import Findings, Watch, separate_stems
from soloist.inference.stream import StreamSettings
from soloist.inference.stream_latency import chunk_latency, settings_for_latency


class StemStream:
    """Separator of a stream: `push` takes a block, and gives the samples of the stems that are finished.

    A causal model (see `soloist.separators.find_causal`) is run frame by frame with its memory carried over,
    unless the settings ask for chunks: at its own rate the stems are those of the whole recording at once.
    Other models are run in chunks: the stems equal those of `soloist.separate`. Models that are normalised by
    the track have the level of the stream so far or of each chunk, as the track is not known yet.

    The stems are as long as all blocks together. Memory does not depend on the length. One stream is for one
    thread at a time.

    Args:
        model: The model.
        sample_rate: Rate of the blocks and the stems, Hz.
        channels: Number of channels of the blocks.
        selection: Selected stems.
        settings: Chunks, overlap, shifts, batches.
        latency: Most seconds that the stems may be behind the blocks; None for the model's best.

    Attributes:
        stems: Names of the stems.
        sample_rate: Rate of the blocks and the stems, Hz.
        channels: Number of channels.
        latency: Most samples that the stems are behind the blocks, whatever the lengths of these.
        frame_by_frame: True for a causal model that is run frame by frame.

    Example:
        >>> with soloist.stream("hpss", 44100, 2) as stream:
        ...     first = stream.push(np.zeros((2, 1024), np.float32))
        ...     rest = stream.finish()
        >>> first["harmonic"].shape[1] + rest["harmonic"].shape[1]
        1024
    """

    def __init__(
        self,
        model: LoadedModel,
        sample_rate: int,
        channels: int,
        selection: StemSelection,
        settings: StreamSettings,
        latency: float | None = None,
    ) -> None:
        self.stems = selection.names(model.separator.sources)
        self.sample_rate = sample_rate
        self.channels = channels
        self._worker: CausalStream | _Worker
        steps = _steps(model, channels, settings)
        self.frame_by_frame = steps is not None
        if steps is not None:
            self._worker = CausalStream(model.separator, steps, sample_rate, channels, selection, latency)
            self.latency = self._worker.latency
        else:
            if latency is not None:
                settings = settings_for_latency(model.separator, settings, sample_rate, latency)
            self._worker = _begin(model, sample_rate, selection, settings)
            self.latency = math.ceil(chunk_latency(model.separator, settings, sample_rate) * sample_rate)
        # The thread knows the worker alone: a stream that nobody holds ends it.
        self._close = weakref.finalize(self, self._worker.close)
        self._pushed = 0

    def __enter__(self) -> StemStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def push(self, block: ArrayLike | Tensor) -> dict[str, Audio]:
        """Separate the next block.

        Args:
            block: `(channels, samples)`, or `(samples,)` of one channel, of any length and type; see
                `soloist.separate`.

        Returns:
            Finished samples `(channels, samples)` of each stem, perhaps none: those that no later block
            changes.

        Raises:
            UsageError: The block has another number of channels, or the stream has ended.
        """
        audio = to_block(block, self.channels)
        self._check_open()
        self._pushed += audio.shape[1]
        return self._named(self._hand_over(audio) if audio.size else [])

    def finish(self) -> dict[str, Audio]:
        """End the stream.

        Returns:
            The rest of each stem `(channels, samples)`.

        Raises:
            UsageError: The stream has ended before.
        """
        self._check_open()
        rest = self._hand_over(None) if self._pushed else []
        self.close()
        return self._named(rest)

    def close(self) -> None:
        """End the stream without the rest."""
        self._close()

    def _hand_over(self, block: Audio | None) -> list[Audio]:
        try:
            return self._worker.push(block)
        except BaseException:
            # After an error, or an interruption in the middle of a block, nothing fits together any more.
            self.close()
            raise

    def _check_open(self) -> None:
        if not self._close.alive:
            raise UsageError("the stream has ended: begin another one with soloist.stream")

    def _named(self, pieces: Sequence[Audio]) -> dict[str, Audio]:
        nothing = np.zeros((len(self.stems), self.channels, 0), np.float32)
        return dict(zip(self.stems, np.concatenate([nothing, *pieces], axis=-1), strict=True))


def _steps(model: LoadedModel, channels: int, settings: StreamSettings) -> StepEngine | None:
    """Engine of a causal model's steps; None where chunks are needed, or the settings ask for them."""
    separator = model.separator
    # Unordered sources of several groups of channels are told apart over a chunk.
    alike = separator.ordered or channels <= separator.channels
    asked = (settings.chunk, settings.overlap, settings.shifts) != (None, None, 1)
    return model.engines.steps() if alike and not asked else None


def _begin(
    model: LoadedModel, sample_rate: int, selection: StemSelection, settings: StreamSettings
) -> _Worker:
    """Begin to separate in chunks."""
    selected = model.select_engine(settings, model.separator.chunk_length)
    worker = _Worker()
    worker.start(
        separate_stems(
            model.separator,
            worker.blocks(),
            sample_rate,
            selection=selection,
            # Samples shall come as early as they can.
            selected=SelectedEngine(selected.engine, settings.batch_size or 1),
            settings=settings,
            level=None,
            duration=None,
            watch=Watch(),
            findings=Findings(),
        )
    )
    return worker


class _Worker:
    """Thread that separates while a block is pushed, and waits for the next one in between."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Audio | _Abandoned | None] = queue.SimpleQueue()
        self._waits = threading.Semaphore(0)
        self._finished: list[Audio] = []
        self._error: BaseException | None = None

    def start(self, stems: Iterable[tuple[Audio, Audio]]) -> None:
        """Begin to separate."""
        threading.Thread(target=self._run, args=(stems,), name="soloist-stream", daemon=True).start()
        self._waits.acquire()

    def blocks(self) -> Iterator[Audio]:
        """Blocks in the order in which they are pushed, in the thread."""
        while True:
            self._waits.release()
            block = self._inbox.get()
            if block is None:
                return
            if isinstance(block, _Abandoned):
                raise block
            yield block

    def push(self, block: Audio | None) -> list[Audio]:
        """Hand over a block, or None for the end, and wait for everything that it finishes."""
        self._inbox.put(block)
        self._waits.acquire()
        if self._error is not None:
            raise self._error
        finished, self._finished = self._finished, []
        return finished

    def close(self) -> None:
        """End the thread."""
        self._inbox.put(_Abandoned())

    def _run(self, stems: Iterable[tuple[Audio, Audio]]) -> None:
        try:
            for _, block in stems:
                self._finished.append(block)
        except _Abandoned:
            pass
        except BaseException as error:
            self._error = error
        self._waits.release()


class _Abandoned(Exception):  # noqa: N818 - nothing went wrong
    """End of a stream whose rest nobody wants."""


def stream(
    model: str | PathLike[str] | None,
    rate: SupportsFloat | str,
    channels: int,
    *,
    stems: str | Sequence[str] | None = (),
    two_stems: str | None = None,
    residual: bool = False,
    consistency: Consistency = "none",
    device: str = "auto",
    engine: str = "auto",
    precision: str = "auto",
    settings: StreamSettings | None = None,
    latency: float | None = None,
) -> StemStream:
    """Begin to separate a stream, block by block.

    Args:
        model: Name in the zoo or path of a model folder; None for the default, as in `soloist.separate`.
        rate: Rate of the blocks, Hz.
        channels: Number of channels of the blocks.
        stems: Name or names of the requested stems; None or empty for all.
        two_stems: One stem to separate from everything else (`no_<stem>`).
        residual: Add the mixture minus all stems as the stem `residual`.
        consistency: "mixture" makes the estimates add up to the mixture; see `StemSelection`.
        device: "auto", "cpu", "cuda", "mps".
        engine: Engine of the network, one of `soloist.inference.ENGINES`, or "auto".
        precision: Precision of the network, as in `soloist.separate`.
        settings: Chunks, overlap, shifts, batches.
        latency: Most seconds that the stems may be behind the blocks: causal models take several frames at
            once, other ones shorter chunks. None for 40 ms, or what a causal model needs, and for the best
            chunks of other models.

    Raises:
        ModelError: The model is unknown or damaged, or cannot be downloaded.
        UsageError: The model needs a longer latency, the rate or the number of channels is not positive, or
            the model has no such stem.
    """
    if channels < 1:
        raise UsageError(f"channels must be at least 1, not {channels}")
    selection = StemSelection.named(stems, two_stems, residual, consistency)
    sample_rate = whole_rate(rate)
    loaded = load_for(
        model,
        selection,
        engine=engine,
        device=device,
        precision=precision,
        sample_rate=sample_rate,
        channels=channels,
    )
    return StemStream(loaded, sample_rate, channels, selection, settings or StreamSettings(), latency)
