"""Live separation: blocks in, a mix of the stems out, all stems into files."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from soloist.audio import Audio, SampleQueue, StemWriter
from soloist.errors import AudioError
from soloist.inference import StemStream
from soloist.live.pipes import LiveInput, LiveOutput
from soloist.live.punctuality import Punctuality
from soloist.resources import without_interrupts


class LiveSession:
    """Separates what an input gives, until it ends or the user ends it.

    The output has as many samples as the input, `delay` samples later: silence comes first, and the last
    samples are those of the end. The files begin with the input.

    Args:
        stream: The stream of the stems.
        levels: Level of each stem that is heard, dB.
        files: Writer of all stems; None for no files.
        watch: Called after each block.

    Attributes:
        delay: Samples from the input to the output.
        punctuality: Blocks that were late, and the load.
        peaks: Largest samples of input and output since they were read last; see `take_peaks`.
    """

    def __init__(
        self,
        stream: StemStream,
        levels: Mapping[str, float],
        files: StemWriter | None = None,
        watch: Callable[[LiveSession], None] | None = None,
    ) -> None:
        self._stream, self._files, self._watch = stream, files, watch
        gains = {name: 10 ** (level / 20) for name, level in levels.items()}
        self._gains = np.array([gains.get(name, 0.0) for name in stream.stems], np.float32)
        self.delay = stream.latency
        self.punctuality = Punctuality()
        self._waiting = SampleQueue()
        self._waiting.put(np.zeros((stream.channels, self.delay), np.float32))
        self._peaks = [0.0, 0.0]
        self._written = 0
        self.source_dropped = self.sink_dropped = 0
        self._paced = False

    @property
    def dropped(self) -> int:
        """Blocks that were not heard in time."""
        late = 0 if self._paced else self.punctuality.dropped
        return late + self.source_dropped + self.sink_dropped

    def run(self, source: LiveInput, sink: LiveOutput) -> None:
        """Separate until the input ends; Ctrl-C ends it, too, with the files complete.

        Raises:
            BrokenPipeError: Nobody reads the output any more; the files are complete.
            AudioError: The input or a file is damaged.
        """
        self._paced = sink.paces
        try:
            while (block := source.read()) is not None:
                self._take(block, source, sink)
            sink.write(self._end())
        except KeyboardInterrupt:
            self._end()
        except AudioError:
            self._end()
            raise
        finally:
            self._commit()

    def take_peaks(self) -> tuple[float, float]:
        """Largest samples of input and output since the last call."""
        before, after = self._peaks
        self._peaks = [0.0, 0.0]
        return before, after

    def _take(self, block: Audio, source: LiveInput, sink: LiveOutput) -> None:
        seconds = block.shape[1] / self._stream.sample_rate
        self.punctuality.begin(seconds, waited=source.waited)
        # A stream that was interrupted in the middle of a block has no end.
        with without_interrupts():
            self._mix(self._stream.push(block))
        mixed = self._waiting.take(block.shape[1])
        self.punctuality.end()
        self._peaks = [max(self._peaks[0], _peak(block)), max(self._peaks[1], _peak(mixed))]
        sink.write(mixed)
        self.source_dropped, self.sink_dropped = source.dropped, sink.dropped
        if self._watch is not None:
            self._watch(self)

    def _mix(self, stems: Mapping[str, Audio]) -> None:
        """Add finished stems to what waits for the output, and to the files."""
        stacked = np.stack([stems[name] for name in self._stream.stems])
        if not stacked.shape[-1]:
            return
        if self._files is not None:
            self._files.write(stacked)
            self._written += stacked.shape[-1]
        self._waiting.put(np.tensordot(self._gains, stacked, axes=1))

    def _end(self) -> Audio:
        """The samples of the output that are left at the end."""
        self._mix(self._stream.finish())
        return self._waiting.take(self._waiting.available)

    def _commit(self) -> None:
        if self._files is not None and self._written:
            with without_interrupts():
                self._files.commit()


def _peak(block: Audio) -> float:
    return float(np.abs(block).max(initial=0.0))
