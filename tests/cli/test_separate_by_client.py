"""A cluster that somebody else started, through Ray's client: `--cluster ray://HOST:PORT`."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from faults import tree

RATE = 8000

OPTIONS = ("--num-cpus=1", "--include-dashboard=false", "--disable-usage-stats", "--block")


@pytest.fixture
def head(tmp_path, monkeypatch):
    """Port of the client's server of a cluster, whose head is a process of this machine."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        port, client = (each.getsockname()[1] for each in sockets)
    command = [Path(sys.executable).with_name("ray"), "start", "--head", *OPTIONS]
    process = psutil.Popen(
        [*command, f"--port={port}", f"--ray-client-server-port={client}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    yield client
    # Asked to end, Ray takes its time, and nothing of it is to be kept.
    processes = [*process.children(recursive=True), process]
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    _, left = psutil.wait_procs(processes, timeout=20)
    assert left == []


def listens(port):
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_a_client_gets_the_stems_of_one_process(head, soloist_process, soloist, tmp_path, monkeypatch):
    (tmp_path / "library").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        audio = 0.1 * rng.standard_normal(RATE + number)
        soundfile.write(tmp_path / f"library/{number}.wav", audio, RATE)

    monkeypatch.chdir(tmp_path)
    command = ("separate", "library", "-m", "hpss", "--device", "cpu", "-o")
    assert soloist(*command, "alone").code == 0

    def separate_many():
        process = soloist_process(*command, "many", "--cluster", f"ray://127.0.0.1:{head}")
        _, errors = process.communicate(timeout=120)
        return process.returncode, errors.decode()

    deadline = time.monotonic() + 90
    while not listens(head) and time.monotonic() < deadline:
        time.sleep(0.1)
    # The client is refused until the cluster stands.
    while (ended := separate_many())[0] == 2 and time.monotonic() < deadline:
        assert "no Ray cluster at ray://" in ended[1]
    assert ended[0] == 0, ended[1]
    alone, many = (
        {name: content for name, content in tree(tmp_path / each).items() if name.endswith(".wav")}
        for each in ("alone", "many")
    )
    assert len(alone) == 6
    assert many == alone
