"""Profiles of models, each measured in a process of its own, so that one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from soloist.errors import OutOfMemoryError, SoloistError, UsageError
from soloist.inference import find_device, installed_engines
from soloist.profiling import workers
from soloist.profiling.measure import Case, Separating, Training
from soloist.profiling.subjects import Facts, find_model
from soloist.resources import Processes

T = TypeVar("T")


@dataclass(frozen=True)
class ProfileSettings:
    """What is measured of each model.

    Attributes:
        durations: Seconds of the mixtures.
        batches: Numbers of mixtures at once.
        device: "auto", "cpu", "cuda", ...
        engines: What runs the separators.
        threads: Processor threads; None for PyTorch's own choice.
        budget: Seconds for each time.
        processes: Measure also the memory of a whole process that separates a case.

    Raises:
        UsageError: A value is out of range, or the device or an engine is not there.
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
        find_device(self.device)
        if not self.engines:
            raise UsageError(f"name at least one engine of {', '.join(installed_engines())}")
        for engine in self.engines:
            if engine not in installed_engines():
                raise UsageError(
                    f"the engine {engine} is not there: there are {', '.join(installed_engines())}"
                )

    def cases(self) -> list[Case]:
        """Every engine, duration and batch once, by how much they separate."""
        device = find_device(self.device)
        cases = {
            Case(duration, batch, device, engine): None
            for engine in self.engines
            for duration in self.durations
            for batch in self.batches
        }
        return sorted(cases, key=lambda case: case.duration * case.batch)


@dataclass(frozen=True)
class Measured:
    """A case, and what it cost.

    Attributes:
        case: What was separated.
        separating: What that cost.
        training: What a step of training costs; None where there is none, or it could not be measured.
        process: The most memory that a process holds that does nothing but separate the case once, MB (10^6
            bytes), PyTorch's own included; None where it was not asked for, or the system does not say.
    """

    case: Case
    separating: Separating
    training: Training | None = None
    process: float | None = None


@dataclass(frozen=True)
class Profile:
    """What a separator costs.

    Attributes:
        facts: What is known of it before it is run.
        measured: What was measured.
        failures: What could not be measured, and why.
    """

    facts: Facts
    measured: tuple[Measured, ...]
    failures: tuple[str, ...] = ()


def profile(
    name: str, settings: ProfileSettings, notify: Callable[[int, int], None] = lambda done, count: None
) -> Profile:
    """Measure a model, from the smallest case to the largest.

    After one for which the memory does not suffice, no larger one is tried; nor is an engine tried again that
    cannot run the separator.

    Args:
        name: A model or recipe; see `load_subject`.
        settings: What is measured.
        notify: Is told how many cases are done, and how many there are.

    Raises:
        SoloistError: There is no such model, or it cannot be loaded.
    """
    find_model(name)
    failures: dict[str, str] = {}
    measured: list[Measured] = []
    with _Process(settings) as process:
        facts = process.call(workers.describe, name)

        def attempt(
            what: str, process: _Process, work: Callable[..., T], case: Case, *arguments: object
        ) -> T | None:
            what = what if case.engine == "torch" else f"{what}{case.engine}: "
            try:
                return None if what in failures else process.call(work, name, case, *arguments)
            except SoloistError as error:
                if case.engine == "torch" and not isinstance(error, OutOfMemoryError):
                    raise
                failures[what] = f"{what}{error}"
                return None

        for case in settings.cases():
            notify(len(measured), len(settings.cases()))
            separating = attempt("", process, workers.separating, case, settings.budget)
            if separating is None:
                continue
            training = attempt("training: ", process, workers.training, case, settings.budget)
            resident = None
            if settings.processes:
                with _Process(settings) as fresh:
                    resident = attempt("process: ", fresh, workers.process_memory, case)
            measured.append(Measured(case, separating, training, resident))
    return Profile(facts, tuple(measured), tuple(failures.values()))


class _Process:
    """A process that measures, and another one after it has died."""

    def __init__(self, settings: ProfileSettings) -> None:
        self._threads = settings.threads
        self._pool = self._start()

    def _start(self) -> Processes:
        return Processes(1, workers.start, self._threads)

    def __enter__(self) -> _Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def call(self, work: Callable[..., T], name: str, *arguments: object) -> T:
        """Have some work done.

        Raises:
            OutOfMemoryError: There was too little memory, for which systems may kill a process.
        """
        try:
            return self._pool.submit(work, name, *arguments).result()
        except BrokenProcessPool as error:
            self._pool = self._start()
            where = f" at {arguments[0]}" if arguments else ""
            raise OutOfMemoryError(f"the process was killed{where}, as a rule for lack of memory") from error


def _listed(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values) or "none"
