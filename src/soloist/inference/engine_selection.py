"""Engine selection: the requested engine, or the one expected to finish first."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from soloist.inference.calibration import Trial, load_calibration
from soloist.inference.engines import Engine, find_device, installed_engines, make_engine
from soloist.separators import Separator

AUTO = "auto"


@dataclass(frozen=True)
class SelectedEngine:
    """An engine for a recording.

    Attributes:
        engine: Runs the separator.
        batch_size: Fastest number of chunks at once.
        trial: Measured speed and memory; None without a calibration.
    """

    engine: Engine
    batch_size: int = 1
    trial: Trial | None = None


class EngineSelection:
    """The engines of a separator, made at first use.

    "auto" takes the calibrated engine that is expected to finish first, among those that estimate the same as
    PyTorch. On a GPU, without a network and without a calibration (`soloist tune`) it takes PyTorch.

    Args:
        separator: The separator.
        name: One of `ENGINES`, or "auto".
        device: See `find_device`.

    Raises:
        UsageError: The engine or the device does not exist, the engine is not installed, or it cannot run the
            separator.
    """

    def __init__(self, separator: Separator, name: str, device: str) -> None:
        self._separator = separator
        self._device = device
        self._engines: dict[tuple[str, int | None], Engine] = {}
        self._threads = torch.get_num_threads()
        self._requested = None if name == AUTO else self._engine(name)
        calibrated = find_device(device) == "cpu" and separator.graph is not None
        self._calibration = load_calibration(separator) if calibrated else None

    def select(self, chunks: int) -> SelectedEngine:
        """Select the engine for a recording of so many chunks."""
        if self._requested is not None:
            return self._uncalibrated(self._requested)
        running = [name for name, _ in self._engines]
        best = self._calibration.best(chunks, self._threads, running) if self._calibration else None
        if best is None or best.engine not in installed_engines():
            return self._uncalibrated(self._engine("torch"))
        return SelectedEngine(self._engine(best.engine, best.threads), best.batch_size, best)

    def _uncalibrated(self, engine: Engine) -> SelectedEngine:
        """An engine with one chunk at once, and its trial if `soloist tune` measured it."""
        known = self._calibration
        return SelectedEngine(engine, trial=known.find(engine.name, self._threads, 1) if known else None)

    def _engine(self, name: str, threads: int | None = None) -> Engine:
        if name == "torch":
            torch.set_num_threads(threads or self._threads)
        key = (name, None if name == "torch" else threads)
        if key not in self._engines:
            self._engines[key] = make_engine(name, self._separator, self._device, threads=threads)
        return self._engines[key]
