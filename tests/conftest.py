"""Common to all tests: one thread a process, a seed by name, repeatable properties, outside data."""

from __future__ import annotations

import gc
import os
import random
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before the first import of torch or NumPy: workers that share the cores must not each take all of them,
# and commands that tests start inherit it.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# No test reaches a network: those of downloads allow it for servers of their own on this machine.
os.environ["SOLOIST_OFFLINE"] = "1"

import numpy as np  # noqa: E402

SEED = os.environ.get("SOLOIST_TEST_SEED", "")
"""Changes what every test draws at random: `make test-seeds` runs the suite with twenty of them."""

_COMMON = settings(
    deadline=None,
    # Fixtures hold folders and models here; no example changes them for the next one.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("default", parent=_COMMON, max_examples=15, derandomize=True, database=None)
settings.register_profile("seeds", parent=_COMMON, max_examples=25, database=None)
settings.register_profile("nightly", parent=_COMMON, max_examples=200, database=None)
PROFILE = os.environ.get("SOLOIST_TEST_PROFILE", "seeds" if SEED else "default")
settings.load_profile(PROFILE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that compare with reference vectors, and leave those of the nightly profile to it.

    The former are those that ask for the folder of outside data.
    """
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.parity)
        if PROFILE != "nightly" and item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.skip(reason="takes long: in the nightly profile"))


def pytest_collection_finish() -> None:
    """Search the modules and the tests for garbage no more, which took a second of each minute."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded_by_name(request: pytest.FixtureRequest) -> None:
    """Seed what a test draws by its name: it draws the same alone, in any order and in any process."""
    _seed(request.node.name)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Iterator[None]:
    """Seed fixtures that several tests share by their own names."""
    if fixturedef.scope != "function":
        _seed(f"{fixturedef.argname} {getattr(request, 'param_index', 0)}")
    return (yield)


def _seed(name: str) -> None:
    import torch

    seed = zlib.crc32(f"{name} {SEED}".encode())
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


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
