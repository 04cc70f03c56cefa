"""The benchmark for GPUs: it refuses without one, and a rehearsal on tiny networks goes through."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch


def run(repository, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `benchmarks/gpu.py`."""
    command = [sys.executable, str(repository / "benchmarks/gpu.py"), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_a_rehearsal_measures_each_system_and_compares_it_with_the_cpu(repository):
    done = run(repository, "--device", "cpu", "--small")
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    recordings = {
        name: [f"{name}, 2 s, {way}" for way in ("in turn", "network ahead")]
        for name in ("HTDemucs", "Spleeter")
    }
    systems = ["HTDemucs", *recordings["HTDemucs"], "BS-RoFormer", "Spleeter", *recordings["Spleeter"]]
    steps = ["SuDoRM-RF", "SuDoRM-RF, Soloist's step", "SuDoRM-RF, plain step"]
    assert [row[0].strip("| ") for row in rows] == systems + steps
    for row in rows:
        assert min(float(row[3]), float(row[5])) > 0, row
        if ", 2 s, " not in row[0]:
            assert float(row[-1].rstrip(" |")) <= 1e-3, row


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_one_line(repository):
    done = run(repository)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "there is no GPU here: --device cpu --small rehearses this benchmark\n"
