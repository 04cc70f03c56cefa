"""Calibration: speed and memory of a model's engines on this machine, measured by `soloist tune`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from soloist.files import home, json_text, write_whole
from soloist.inference.engines import ENGINES, PRECISIONS
from soloist.inference.engines.graph_cache import fingerprint
from soloist.resources import describe_machine
from soloist.separators import Separator

EQUAL = 1e-4
"""Largest difference from PyTorch in float32, relative to the peak, of an engine with equal estimates."""

INAUDIBLE = -45.0
"""Largest level of the difference by a lower precision, relative to the mixture, dB."""

FLOOR = -200.0
"""Least level of a difference, dB."""

_WORTH_A_BATCH = 0.95
_MANY = 1e6


@dataclass(frozen=True)
class Trial:
    """Measured speed and memory of an engine with some threads and batch size.

    Attributes:
        engine: Name of the engine.
        threads: Processor threads.
        batch_size: Chunks at once.
        chunk: Seconds for one chunk of the separator's best length.
        start: Seconds until the engine was ready, with its graph in the cache.
        resize: Seconds until the engine was ready for chunks of another length.
        memory: Growth of the process after the model was loaded, at its peak, MB (10^6 bytes); None if the
            system does not say.
        difference: Largest difference of the estimates from PyTorch's in float32, relative to the peak.
        precision: Precision of the network.
        deviation: Level of the difference from the same engine in float32, relative to the mixture, dB.
    """

    engine: str
    threads: int
    batch_size: int
    chunk: float
    start: float
    resize: float
    memory: float | None
    difference: float
    precision: str = "float32"
    deviation: float = FLOOR

    def __post_init__(self) -> None:
        counts = (self.threads, self.batch_size)
        amounts = (self.chunk, self.start, self.resize, self.memory or 0.0)
        counted = all(isinstance(count, int) and count > 0 for count in counts)
        measured = all(0 <= amount < math.inf for amount in amounts) and isinstance(self.difference, float)
        measured = measured and isinstance(self.deviation, float)
        known = self.engine in ENGINES and self.precision in PRECISIONS
        if not known or not counted or not measured:
            raise ValueError(f"impossible measurement: {self}")

    @property
    def is_equal(self) -> bool:
        """True if the estimates equal PyTorch's, or nearly so in a lower precision."""
        if self.precision == "float32":
            return self.difference <= EQUAL
        return self.deviation < INAUDIBLE

    def seconds(self, chunks: float, *, running: bool = False) -> float:
        """Seconds for some chunks, with the start unless the engine is running."""
        return chunks * self.chunk + (0.0 if running else self.start)


@dataclass(frozen=True)
class Calibration:
    """Trials of a separator's engines on a machine.

    Attributes:
        trials: At least one.
        failures: Engines that could not be measured, each with the reason.
    """

    trials: tuple[Trial, ...]
    failures: tuple[str, ...] = ()

    def best(
        self,
        chunks: float,
        threads: int,
        running: Iterable[tuple[str, str]] = (),
        precision: str | None = None,
    ) -> Trial | None:
        """The trial expected to finish first; None if none is allowed.

        Args:
            chunks: Number of chunks.
            threads: Most threads.
            running: Engines that are ready, with their precisions.
            precision: The only precision to take, whatever its difference from float32; None for any whose
                estimates are nearly equal.
        """
        allowed = [
            trial
            for trial in self.trials
            if trial.threads <= threads
            and (trial.is_equal if precision in (None, "float32") else True)
            and precision in (None, trial.precision)
        ]

        def cost(trial: Trial) -> float:
            seconds = trial.seconds(chunks, running=(trial.engine, trial.precision) in running)
            # A larger batch takes more memory, so it has to be 5 % faster.
            return seconds if trial.batch_size == 1 else seconds / _WORTH_A_BATCH

        return min(allowed, key=cost, default=None)

    def fastest(self) -> Trial:
        """The trial expected to finish first with many chunks."""
        best = self.best(_MANY, max(trial.threads for trial in self.trials))
        return best or self.trials[0]

    def find(self, engine: str, threads: int, batch_size: int, precision: str = "float32") -> Trial | None:
        """The trial of an engine with some threads, batch size and precision; None if not measured."""
        wanted = (engine, threads, batch_size, precision)
        for trial in self.trials:
            if (trial.engine, trial.threads, trial.batch_size, trial.precision) == wanted:
                return trial
        return None


def calibration_path(separator: Separator, device: str = "cpu") -> Path:
    """File of a separator's calibration on a device, named by weights, configuration and machine."""
    return home() / "calibrations" / f"{fingerprint(separator, _machine(device))}.json"


def load_calibration(separator: Separator, device: str = "cpu") -> Calibration | None:
    """The calibration of a separator on a device; None if there is none or it is damaged."""
    return read_calibration(calibration_path(separator, device))


def read_calibration(path: Path) -> Calibration | None:
    """Read a calibration from its file; None if there is none or it is damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        trials = tuple(_read_trial(trial) for trial in values["trials"])
        return Calibration(trials, tuple(values["failures"])) if trials else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _read_trial(values: dict[str, Any]) -> Trial:
    """Read a trial; JSON has `null` for a difference that is not a number."""
    differences = {name: values[name] for name in ("difference", "deviation") if name in values}
    known: dict[str, Any] = {
        name: math.nan if value is None else value for name, value in differences.items()
    }
    return Trial(**{**values, **known})


def save_calibration(separator: Separator, calibration: Calibration, device: str = "cpu") -> Path:
    """Store a calibration on a device in place of an earlier one."""
    path = calibration_path(separator, device)
    write_whole(path, json_text(asdict(calibration), indent=1))
    return path


def _machine(device: str) -> list[tuple[str, str]]:
    """Processor, GPU, and versions of all packages of engines: times are comparable if these agree."""
    described = describe_machine(device, None)
    del described["threads"]
    return [*described.items(), *((name, _version(name)) for name in ("torch", "openvino", "onnxruntime"))]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
