"""Profiles of models, each measured in a process of its own, so that a failure stops no other model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import TypeVar

import torch

from soloist.errors import OutOfMemoryError, SoloistError, UsageError
from soloist.inference import find_device, installed_engines
from soloist.profiling.measure import (
    ProfileCase,
    SeparationFigures,
    TrainingFigures,
    measure_separating,
    measure_training,
    separate_once,
)
from soloist.profiling.subjects import Facts, find_model, load_subject
from soloist.resources import Processes, peak_memory

T = TypeVar("T")


@dataclass(frozen=True)
class ProfileSettings:
    """Cases and figures to measure for each model.

    Attributes:
        durations: Durations of the mixtures, in s.
        batches: Batch sizes.
        device: "auto", "cpu", "cuda", ...
        engines: Engines that run the separators.
        threads: Number of processor threads; None for PyTorch's own choice.
        budget: Seconds for each time.
        processes: Measure also the memory of a whole process that separates a case.

    Raises:
        UsageError: A value is out of range, or the device or an engine is missing.
    """

    durations: tuple[float, ...] = (1.0, 4.0, 60.0)
    batches: tuple[int, ...] = (1, 4)
    device: str = "auto"
    engines: tuple[str, ...] = ("torch",)
    threads: int | None = None
    budget: float = 2.0
    processes: bool = False

    def __post_init__(self) -> None:
        if not self.durations or not all(0 < duration < float("inf") for duration in self.durations):
            raise UsageError(f"durations must be more than 0 s, not {_listed(self.durations)}")
        if not self.batches or not all(batch >= 1 for batch in self.batches):
            raise UsageError(f"batches must be at least 1, not {_listed(self.batches)}")
        if not self.budget > 0:
            raise UsageError(f"the time for a figure must be more than 0 s, not {self.budget:g}")
        installed = installed_engines(find_device(self.device))
        if not self.engines:
            raise UsageError(f"name at least one engine of {', '.join(installed)}")
        for engine in self.engines:
            if engine not in installed:
                raise UsageError(f"the engine {engine} is not installed: choose from {', '.join(installed)}")

    def cases(self) -> list[ProfileCase]:
        """Every combination of engine, duration and batch once, the least audio first."""
        device = find_device(self.device)
        cases = {
            ProfileCase(duration, batch, device, engine): None
            for engine in self.engines
            for duration in self.durations
            for batch in self.batches
        }
        return sorted(cases, key=lambda case: case.duration * case.batch)


@dataclass(frozen=True)
class Measured:
    """Figures of a case.

    Attributes:
        case: The case.
        separating: Figures of separating.
        training: Figures of a training step; None if the separator cannot be trained, or the memory did not
            suffice.
        process: Peak memory of a process that does nothing but separate the case once, in MB (10^6 bytes),
            with PyTorch's own; None if not asked for, or the memory did not suffice.
    """

    case: ProfileCase
    separating: SeparationFigures
    training: TrainingFigures | None = None
    process: float | None = None


@dataclass(frozen=True)
class Profile:
    """Costs of a separator.

    Attributes:
        facts: Facts that are known without running the separator.
        measured: Figures of each case.
        failures: Error messages of figures that could not be measured.
    """

    facts: Facts
    measured: tuple[Measured, ...]
    failures: tuple[str, ...] = ()


def profile(
    name: str, settings: ProfileSettings, notify: Callable[[int, int], None] = lambda done, count: None
) -> Profile:
    """Measure a model, from the smallest case to the largest.

    After a case for which the memory does not suffice, larger ones are left out, and so are further cases of
    an engine that cannot run the separator.

    Args:
        name: A model or recipe; see `load_subject`.
        settings: Cases and figures to measure.
        notify: Callback that receives the number of cases that are done, and of all cases.

    Raises:
        SoloistError: There is no such model, or it cannot be loaded.
    """
    find_model(name)
    measured: list[Measured] = []
    with _Process(settings) as process:
        facts = process.call(_describe, name)
        attempts, cases = _Attempts(name, settings, process), settings.cases()
        for case in cases:
            notify(len(measured), len(cases))
            if (done := attempts.measure(case)) is not None:
                measured.append(done)
    return Profile(facts, tuple(measured), tuple(attempts.failures.values()))


class _Attempts:
    """Measures cases of a model until one fails.

    Args:
        name: The model.
        settings: Cases and figures to measure.
        process: Process that measures.

    Attributes:
        failures: Error messages, by figure and engine.
    """

    def __init__(self, name: str, settings: ProfileSettings, process: _Process) -> None:
        self._name, self._settings, self._process = name, settings, process
        self.failures: dict[str, str] = {}

    def measure(self, case: ProfileCase) -> Measured | None:
        """Measure a case; None if separating fails or failed before."""
        budget = self._settings.budget
        separating = self._try("", self._process, _separating, case, budget)
        if separating is None:
            return None
        training = self._try("training: ", self._process, _training, case, budget)
        memory = None
        if self._settings.processes:
            with _Process(self._settings) as fresh:
                memory = self._try("process: ", fresh, _process_memory, case)
        return Measured(case, separating, training, memory)

    def _try(
        self, what: str, process: _Process, work: Callable[..., T], case: ProfileCase, *arguments: object
    ) -> T | None:
        what = what if case.engine == "torch" else f"{what}{case.engine}: "
        if what in self.failures:
            return None
        try:
            return process.call(work, self._name, case, *arguments)
        except SoloistError as error:
            if case.engine == "torch" and not isinstance(error, OutOfMemoryError):
                raise
            self.failures[what] = f"{what}{error}"
            return None


class _Process:
    """Process that measures; another one replaces it after its death."""

    def __init__(self, settings: ProfileSettings) -> None:
        self._threads = settings.threads
        self._pool = self._start()

    def _start(self) -> Processes:
        return Processes(1, _set_threads, self._threads)

    def __enter__(self) -> _Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def call(self, work: Callable[..., T], name: str, *arguments: object) -> T:
        """Call a function of a model in the process.

        Raises:
            OutOfMemoryError: The memory does not suffice, for which the system may kill the process.
        """
        try:
            return self._pool.submit(work, name, *arguments).result()
        except BrokenProcessPool as error:
            self._pool = self._start()
            where = f" at {arguments[0]}" if arguments else ""
            raise OutOfMemoryError(f"the process was killed{where}, as a rule for lack of memory") from error


# The functions below run in the process that measures, which loads the separator once.

_load = lru_cache(maxsize=1)(load_subject)


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)


def _describe(name: str) -> Facts:
    return _load(name).facts


def _separating(name: str, case: ProfileCase, budget: float) -> SeparationFigures:
    return measure_separating(_load(name).separator, case, budget=budget)


def _training(name: str, case: ProfileCase, budget: float) -> TrainingFigures | None:
    return measure_training(_load(name).separator, case, budget=budget)


def _process_memory(name: str, case: ProfileCase) -> float:
    """Peak memory of this process, in MB, if it does nothing but separate a case once."""
    separate_once(_load(name).separator, case)
    return peak_memory()


def _listed(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values) or "none"
