"""What was measured of a model's engines on this machine, and kept for the next time."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from soloist.files import home, json_text, write_whole
from soloist.inference.engines import ENGINES
from soloist.inference.engines.graph_cache import fingerprint
from soloist.resources import describe_machine
from soloist.separators import Separator

EQUAL = 1e-4
"""The largest difference from PyTorch, as a part of the peak, with which an engine counts as equal."""

_WORTH_A_BATCH = 0.95
_MANY = 1e6


@dataclass(frozen=True)
class Trial:
    """One way to run a separator, and what that took.

    Attributes:
        engine: What ran it.
        threads: Processor threads.
        batch_size: Chunks at once.
        chunk: Seconds for one chunk of the separator's best length.
        start: Seconds until it was ready, its graph being in the cache.
        resize: Seconds until it was ready for chunks of another length.
        memory: MB (10^6 bytes) that the process grew by, from when the model was loaded to the most that it
            held; None where the system does not say.
        difference: The largest difference of its estimates from those of PyTorch, as a part of the peak.
    """

    engine: str
    threads: int
    batch_size: int
    chunk: float
    start: float
    resize: float
    memory: float | None
    difference: float

    def __post_init__(self) -> None:
        counts = (self.threads, self.batch_size)
        amounts = (self.chunk, self.start, self.resize, self.memory or 0.0)
        counted = all(isinstance(count, int) and count > 0 for count in counts)
        measured = all(0 <= amount < math.inf for amount in amounts) and isinstance(self.difference, float)
        if self.engine not in ENGINES or not counted or not measured:
            raise ValueError(f"this cannot have been measured: {self}")

    @property
    def is_equal(self) -> bool:
        """Whether it estimates what PyTorch does."""
        return self.difference <= EQUAL

    def seconds(self, chunks: float, *, running: bool = False) -> float:
        """How long it takes for so many chunks, with its start unless it is running already."""
        return chunks * self.chunk + (0.0 if running else self.start)


@dataclass(frozen=True)
class Calibration:
    """What was measured of a separator on a machine.

    Attributes:
        trials: At least one.
        failures: What could not be measured, and why.
    """

    trials: tuple[Trial, ...]
    failures: tuple[str, ...] = ()

    def best(self, chunks: float, threads: int, running: Iterable[str] = ()) -> Trial | None:
        """What will be done first with so many chunks; None where nothing was measured that is allowed.

        Args:
            chunks: How many there are.
            threads: Threads that may be used.
            running: Engines that have been started.
        """
        allowed = [trial for trial in self.trials if trial.is_equal and trial.threads <= threads]

        def cost(trial: Trial) -> float:
            seconds = trial.seconds(chunks, running=trial.engine in running)
            # A batch takes more memory: it is to be worth it.
            return seconds if trial.batch_size == 1 else seconds / _WORTH_A_BATCH

        return min(allowed, key=cost, default=None)

    def fastest(self) -> Trial:
        """The best in the long run."""
        best = self.best(_MANY, max(trial.threads for trial in self.trials))
        return best or self.trials[0]

    def find(self, engine: str, threads: int, batch_size: int) -> Trial | None:
        """What was measured of one way to run the separator."""
        wanted = (engine, threads, batch_size)
        found = (each for each in self.trials if (each.engine, each.threads, each.batch_size) == wanted)
        return next(found, None)


def calibration_path(separator: Separator) -> Path:
    """Where the calibration of a separator lies: by its weights, what it was made with, and the machine."""
    return home() / "calibrations" / f"{fingerprint(separator, _machine())}.json"


def load_calibration(separator: Separator) -> Calibration | None:
    """The calibration of a separator on this machine; None where there is none, or it cannot be read."""
    try:
        values = json.loads(calibration_path(separator).read_text(encoding="utf-8"))
        trials = tuple(Trial(**trial) for trial in values["trials"])
        return Calibration(trials, tuple(values["failures"])) if trials else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def save_calibration(separator: Separator, calibration: Calibration) -> Path:
    """Keep a calibration, in the place of an earlier one."""
    path = calibration_path(separator)
    write_whole(path, json_text(asdict(calibration), indent=1))
    return path


def _machine() -> list[tuple[str, str]]:
    """What makes times comparable: the processor, and the versions of everything that computes."""
    described = describe_machine("cpu", None)
    del described["threads"]
    return [*described.items(), *((name, _version(name)) for name in ENGINES)]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
