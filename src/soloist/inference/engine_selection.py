"""Engine selection: the requested engine, or the one expected to finish first."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial

import torch

from soloist.inference.calibration import Calibration, Trial, calibration_path, read_calibration
from soloist.inference.engines import (
    CompositeEngine,
    Engine,
    find_device,
    installed_engines,
    make_engine,
)
from soloist.inference.engines.precision import check_precision
from soloist.inference.engines.step_engines import StepEngine
from soloist.resources import is_gpu
from soloist.separators import CompositeSeparator, Following, Separator, find_causal

AUTO = "auto"

_BATCH_OF_A_GPU = 4
"""Chunks at once on a GPU that nobody has measured; the engine goes on with fewer where memory ends."""


def shares_batches(separator: Separator) -> bool:
    """Return True if chunks of several recordings may be estimated at once: none needs the ones before."""
    if isinstance(separator, CompositeSeparator):
        return False
    follows = isinstance(separator, Following) and separator.follow() is not None
    return separator.partition is not None or not follows


def usual_batch(separator: Separator, device: str) -> int:
    """Chunks at once without a calibration: one on the CPU, and where chunks depend on those before."""
    return _BATCH_OF_A_GPU if is_gpu(device) and shares_batches(separator) else 1


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


class _TorchThreads:
    """Threads of PyTorch: the number that the user chose, while an engine computes with another one."""

    def __init__(self) -> None:
        self._chosen = self._set = 0

    def chosen(self) -> int:
        """Number of threads that the user chose."""
        now = torch.get_num_threads()
        return self._chosen if now == self._set else now

    def take(self, threads: int) -> None:
        """Compute with a number of threads from now on."""
        self._chosen, self._set = self.chosen(), threads
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


_threads = _TorchThreads()


class EngineSelection:
    """The engines of a separator, made at first use, and safe from threads.

    "auto" takes the calibrated engine and precision that are expected to finish first, among those that
    estimate nearly the same as PyTorch in float32. Without a network and without a calibration of the device
    (`soloist tune`) it takes PyTorch in float32. Each part of an ensemble or a chain gets the engine that it
    would have alone, for the first recording.

    Args:
        separator: The separator.
        name: One of `ENGINES`, or "auto".
        device: See `find_device`.
        precision: One of `PRECISIONS`; "auto" is float32 for an engine that is named.

    Raises:
        UsageError: The engine or the device does not exist, the engine is not installed, it cannot run the
            separator, or there is no such precision with it.
    """

    def __init__(self, separator: Separator, name: str, device: str, precision: str = AUTO) -> None:
        self._separator = separator
        self._device = device
        self._precision = None if precision == AUTO else precision
        if self._precision is not None:
            check_precision(self._precision, find_device(device))
        self._engines: dict[tuple[str, int | None, str], Engine] = {}
        self._lock = threading.Lock()
        self._requested = None if name == AUTO else name
        if self._requested is not None:
            self._engine(self._requested)
        found = find_device(device)
        calibrated = (found == "cpu" or is_gpu(found)) and separator.graph is not None
        self._calibrated = calibration_path(separator, found) if calibrated else None
        self._installed = installed_engines(found)
        self._steps: StepEngine | None = None

    def select(self, chunks: int) -> SelectedEngine:
        """Select the engine for a recording of so many chunks."""
        with self._lock:
            return self._select(chunks)

    def steps(self) -> StepEngine | None:
        """The engine of a causal separator's steps, ONNX Runtime if it is installed.

        None for a separator without steps, and if another engine, device or precision was requested: steps
        are computed in float32.
        """
        if find_causal(self._separator) is None or self._device not in (AUTO, "cpu"):
            return None
        if self._requested not in (None, "torch", "onnxruntime"):
            return None
        if self._precision not in (None, "float32"):
            return None
        with self._lock:
            installed = "onnxruntime" if "onnxruntime" in installed_engines() else "torch"
            self._steps = self._steps or StepEngine(self._separator, self._requested or installed)
            return self._steps

    def _select(self, chunks: int) -> SelectedEngine:
        if self._requested is not None:
            return self._uncalibrated(self._engine(self._requested))
        if isinstance(self._separator, CompositeSeparator):
            return SelectedEngine(self._composite_engine(self._separator, chunks))
        known, running = self._calibration(), [(name, precision) for name, _, precision in self._engines]
        best = known.best(chunks, _threads.chosen(), running, self._precision) if known else None
        if best is None or best.engine not in self._installed:
            return self._uncalibrated(self._engine("torch"))
        engine = self._engine(best.engine, best.threads, best.precision)
        return SelectedEngine(engine, best.batch_size, best)

    def _composite_engine(self, separator: CompositeSeparator, chunks: int) -> Engine:
        key = (AUTO, None, self._precision or AUTO)
        if key not in self._engines:
            make = partial(self._engine_of_part, chunks)
            self._engines[key] = CompositeEngine(
                separator, make, "torch", find_device(self._device), self._precision or "float32"
            )
        return self._engines[key]

    def _engine_of_part(self, chunks: int, part: Separator) -> Engine:
        precision = self._precision or AUTO
        return EngineSelection(part, AUTO, self._device, precision).select(chunks).engine

    def _calibration(self) -> Calibration | None:
        # Read each time: a model may stay in memory while the user tunes it.
        return read_calibration(self._calibrated) if self._calibrated else None

    def _uncalibrated(self, engine: Engine) -> SelectedEngine:
        """An engine with the usual batches, and its trial if `soloist tune` measured it."""
        known, batch_size = self._calibration(), usual_batch(self._separator, engine.device)
        values = (engine.name, _threads.chosen(), batch_size, engine.precision)
        return SelectedEngine(engine, batch_size, known.find(*values) if known else None)

    def _engine(self, name: str, threads: int | None = None, precision: str | None = None) -> Engine:
        precision = precision or self._precision or "float32"
        if name == "torch":
            _threads.take(threads or _threads.chosen())
        key = (name, None if name == "torch" else threads, precision)
        if key not in self._engines:
            self._engines[key] = make_engine(
                name, self._separator, self._device, threads=threads, precision=precision
            )
        return self._engines[key]
