"""Which engine separates a recording."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from soloist.errors import SoloistError
from soloist.inference.calibration import Calibration, Trial, load_calibration
from soloist.inference.engine_benchmark import noise_chunk
from soloist.inference.engines import Engine, find_device, installed_engines, make_engine
from soloist.separators import Separator

AUTO = "auto"
LONG_SECONDS = 120.0
"""From so long a separation on, engines are compared before it where nobody has done so."""

LONG_CHUNKS = 30
"""Chunks of which such a separation has at least so many."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """What separates a recording.

    Attributes:
        engine: Runs the separator.
        batch_size: Chunks at once that suit it.
        trial: What was measured of it; None where nothing was.
        undecided: Whether engines will be compared first if the recording is long (`is_long`).
    """

    engine: Engine
    batch_size: int = 1
    trial: Trial | None = None
    undecided: bool = False


class EngineChoice:
    """The engines of a separator: the one that was asked for, or for each recording that which is done first.

    "auto" is PyTorch until a calibration says that another engine is faster with that many chunks and
    estimates the same. A calibration is made by `soloist tune`, or here before a recording that is long.

    Args:
        separator: What separates.
        name: One of `ENGINES`, or "auto".
        device: See `find_device`.
        calibrate: Makes a calibration.

    Raises:
        UsageError: There is no such engine or device, or the engine is not installed or cannot run the
            separator.
    """

    def __init__(
        self, separator: Separator, name: str, device: str, calibrate: Callable[[], Calibration]
    ) -> None:
        self._separator = separator
        self._device = device
        self._calibrate = calibrate
        self._engines: dict[tuple[str, int | None], Engine] = {}
        self._threads = torch.get_num_threads()
        self._fixed = None if name == AUTO else self._engine(name)
        # Only on the CPU is there anything to choose from, and only for networks.
        graph = find_device(device) == "cpu" and separator.graph is not None
        self._open = name == AUTO and graph and len(installed_engines()) > 1
        self.calibration = load_calibration(separator) if graph else None

    def choose(self, chunks: int, *, may_calibrate: bool = False) -> Choice:
        """What separates a recording of so many chunks.

        Args:
            chunks: How many there are.
            may_calibrate: Whether there is time to compare engines before a long recording.
        """
        if self._fixed is not None:
            return self._known(self._fixed)
        undecided = self._open and self.calibration is None
        if undecided and may_calibrate and self._is_long(chunks):
            self._compare()
        running = [name for name, _ in self._engines]
        best = self.calibration and self.calibration.best(chunks, self._threads, running)
        if not (self._open and best):
            return replace(self._known(self._engine("torch")), undecided=undecided)
        return Choice(self._engine(best.engine, best.threads), best.batch_size, best)

    def _compare(self) -> None:
        """Calibrate; where that fails, it is PyTorch from now on, which separates all the same."""
        try:
            self.calibration = self._calibrate()
        except (SoloistError, OSError) as error:
            _log.warning("engines could not be compared, PyTorch is taken: %s", error)
            self._open = False

    def _known(self, engine: Engine) -> Choice:
        """An engine that nobody chose, and what was measured of it."""
        found = self.calibration and self.calibration.find(engine.name, self._threads, 1)
        return Choice(engine, trial=found or None)

    def _engine(self, name: str, threads: int | None = None) -> Engine:
        if name == "torch":
            torch.set_num_threads(threads or self._threads)
        key = (name, None if name == "torch" else threads)
        if key not in self._engines:
            self._engines[key] = make_engine(name, self._separator, self._device, threads=threads)
        return self._engines[key]

    def _is_long(self, chunks: int) -> bool:
        if chunks < LONG_CHUNKS:
            return False
        engine, chunk = self._engine("torch"), noise_chunk(self._separator)
        engine(chunk)
        begun = time.perf_counter()
        engine(chunk)
        return is_long(chunks, chunks * (time.perf_counter() - begun))


def is_long(chunks: int, seconds: float) -> bool:
    """Whether a recording is worth comparing engines before it.

    Args:
        chunks: How many there are.
        seconds: What PyTorch takes for all of them.
    """
    return chunks >= LONG_CHUNKS and seconds > LONG_SECONDS
