"""What a process holds, and what it may hold."""

from __future__ import annotations

import subprocess
import sys

import pytest

from soloist.errors import OutOfMemoryError
from soloist.resources import available_memory, memory, peak_memory, resident_memory, within_memory

LIMITED = """
import resource
from soloist.resources import available_memory, resident_memory
resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))
there = available_memory() - resident_memory()
kept = bytearray(int(0.8 * there * 1e6))
try:
    bytearray(int(0.4 * there * 1e6))
except MemoryError:
    print(there)
"""

HEIR = "from soloist.resources.memory import peak_memory; print(peak_memory())"

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux says it")


@linux
def test_a_peak_is_remembered():
    held = bytearray(int(5e7))
    before = resident_memory()
    del held
    assert peak_memory() >= before - 1


@linux
def test_a_peak_is_not_that_of_the_program_before():
    # A program that is started by a large one has this one's peak in the system's account of it.
    large = "import os, sys; held = b'x' * 10**8; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    done = subprocess.run(
        [sys.executable, "-c", large, "-c", HEIR], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 80


@linux
def test_a_limit_on_the_address_space_counts():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    assert 100 < float(done.stdout) < 1000


@pytest.fixture
def group(monkeypatch, tmp_path):
    """The folders of a control group with a limit above it, in either version."""

    def make(version, limit, current, inactive):
        limits, usage, stat = {
            1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            2: ("memory.max", "memory.current", "inactive_file"),
        }[version]
        root = tmp_path / "memory" if version == 1 else tmp_path
        inner = root / "outer" / "inner"
        inner.mkdir(parents=True)
        (inner / limits).write_text("max\n" if version == 2 else "9223372036854771712\n")
        (inner / usage).write_text("1000\n")
        (inner.parent / limits).write_text(f"{limit}\n")
        (inner.parent / usage).write_text(f"{current}\n")
        (inner.parent / "memory.stat").write_text(f"anon 5\n{stat} {inactive}\n")
        listing = tmp_path / "listing"
        listing.write_text("4:cpu:/x\n7:memory:/outer/inner\n" if version == 1 else "0::/outer/inner\n")
        monkeypatch.setattr(memory, "_CONTROL_GROUPS", tmp_path)
        monkeypatch.setattr(memory, "_MEMBERSHIP", listing)

    return make


@linux
@pytest.mark.parametrize("version", [1, 2])
def test_a_limit_above_the_group_counts_and_files_read_lately_do_not(group, version):
    group(version, limit=100_000_000, current=80_000_000, inactive=30_000_000)
    assert available_memory() == pytest.approx(resident_memory() + 50, abs=10)


@linux
def test_groups_without_a_limit_leave_what_the_machine_has(group):
    free = available_memory()
    group(2, limit="max", current=80_000_000, inactive=0)
    assert available_memory() == pytest.approx(free, rel=0.2)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate")])
def test_too_little_memory_is_one_line(error):
    with pytest.raises(OutOfMemoryError, match=r"^out of memory at a\.wav$"), within_memory("at a.wav"):
        raise error


def test_other_errors_are_left_alone():
    with pytest.raises(RuntimeError, match="shapes"), within_memory("at a.wav"):
        raise RuntimeError("shapes differ")
