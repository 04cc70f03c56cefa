"""Studies of Optuna in a file, for any number of processes.

T. Akiba, S. Sano, T. Yanase, T. Ohta and M. Koyama, "Optuna: a next-generation hyperparameter optimization
framework", KDD 2019.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.study import Study, StudyDirection
from sqlalchemy.exc import DBAPIError

from soloist.errors import TrainingError, one_line

_PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds of the pauses before further attempts to open a file."""

Method = Literal["random", "tpe"]
"""Random search, or tree-structured Parzen estimators (Bergstra et al. 2011)."""


def open_study(path: Path, name: str, *, maximize: bool) -> Study:
    """Open the study in a file, or begin one.

    Args:
        path: The file.
        name: Name of the study.
        maximize: Prefer high figures; else low ones.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = _open_storage(path)
    direction = StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE
    return optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)


def _open_storage(path: Path) -> RDBStorage:
    """Open a file and create its tables.

    SQLite lets one process write at a time, and the others wait. If two processes create the tables at once,
    one of them gets an error, and finds the tables at its next attempt.
    """
    failure: DBAPIError | None = None
    for pause in _PAUSES:
        try:
            return RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
        except DBAPIError as error:
            failure = error
            time.sleep(pause)
    raise TrainingError(f"cannot open {path}: {one_line(failure)}") from failure


def make_sampler(method: Method, seed: int, place: Sequence[int]) -> BaseSampler:
    """Make a sampler of values; processes with different `place` draw different values."""
    drawn = int(np.random.SeedSequence([seed, *place]).generate_state(1)[0])
    return RandomSampler(drawn) if method == "random" else TPESampler(seed=drawn)
