"""What all tests share: one thread a process, repeatable properties, and the folder of outside data."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before the first import of torch or NumPy: workers that share the cores must not each take all of them,
# and commands that tests start inherit it.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

settings.register_profile(
    "local",
    max_examples=25,
    deadline=None,
    # Fixtures hold folders and models here; no example changes them for the next one.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("ci", parent=settings.get_profile("local"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(autouse=True, scope="session")
def _interrupts_are_heard() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would programs that tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference vectors, data and weights that are not part of the repository."""
    folder = os.environ.get("SOLOIST_SHARED")
    if not folder:
        pytest.skip("SOLOIST_SHARED is not set: the folder that holds reference/, data/ and weights/")
    if not Path(folder).is_dir():
        pytest.fail(f"SOLOIST_SHARED is {folder}, which is not a folder")
    return Path(folder)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parents[1]
