"""What the process of a profile does: load a separator once, and measure it case by case."""

from __future__ import annotations

from functools import lru_cache

import torch

from soloist.profiling.measure import (
    Case,
    Separating,
    Training,
    measure_separating,
    measure_training,
    separate_once,
)
from soloist.profiling.subjects import Facts, load_subject
from soloist.resources import peak_memory

_load = lru_cache(maxsize=1)(load_subject)


def start(threads: int | None) -> None:
    """Make ready a process."""
    if threads is not None:
        torch.set_num_threads(threads)


def describe(name: str) -> Facts:
    """What is known of a separator; see `load_subject`."""
    return _load(name).facts


def separating(name: str, case: Case, budget: float) -> Separating:
    """See `measure_separating`."""
    return measure_separating(_load(name).separator, case, budget=budget)


def training(name: str, case: Case, budget: float) -> Training | None:
    """See `measure_training`."""
    return measure_training(_load(name).separator, case, budget=budget)


def process_memory(name: str, case: Case) -> float | None:
    """The most memory that this process has held, MB, if all it did was to separate a case once."""
    separate_once(_load(name).separator, case)
    return peak_memory()
