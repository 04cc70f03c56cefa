"""Studies of Optuna in a file, which any number of processes may work on.

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
"""Seconds after which an error is looked at again."""

Method = Literal["random", "tpe"]
"""Draw evenly, or more of what was good so far (tree-structured Parzen estimators, Bergstra et al. 2011)."""


def open_study(path: Path, name: str, *, maximize: bool) -> Study:
    """The study in a file, which is begun if it is not there.

    Args:
        path: The file.
        name: What the study is called.
        maximize: Whether high figures are good.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = _open_storage(path)
    direction = StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE
    return optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)


def _open_storage(path: Path) -> RDBStorage:
    """The file, with its tables.

    SQLite lets one process write at a time, and the others wait. Only that two make the tables at once is an
    error for one of them, which finds them made when it looks again.
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
    """What chooses the values; `place` tells processes apart that must not draw the same."""
    drawn = int(np.random.SeedSequence([seed, *place]).generate_state(1)[0])
    return RandomSampler(drawn) if method == "random" else TPESampler(seed=drawn)
