"""The command line as a user sees it: arguments in, exit code and text out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soloist.datasets import synthesize_band
from strangers import forgotten_imports


@dataclass
class Result:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _interrupts_as_before() -> Iterator[None]:
    """A command that ends leaves Ctrl-C to the system; here other tests follow."""
    handler, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    yield
    signal.signal(signal.SIGINT, handler)
    sys.unraisablehook = hook


@pytest.fixture
def soloist(monkeypatch, capfd) -> Callable[..., Result]:
    """Run the command in this process, which spares the import of PyTorch for every call."""

    def run(*arguments: object) -> Result:
        from soloist.cli.main import main

        monkeypatch.setattr(sys, "argv", ["soloist", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        with forgotten_imports():
            try:
                main()
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def soloist_process() -> Callable[..., subprocess.Popen[bytes]]:
    """Start the command in a process of its own."""
    environment = {**os.environ, "COLUMNS": "160"}

    def start(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "soloist.cli.main", *map(str, arguments)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(command, env=environment, **{**pipes, **options})

    return start


@pytest.fixture(scope="session")
def song(tmp_path_factory) -> Path:
    """Three seconds of the synthetic band, stereo, 44.1 kHz, 16 bits."""
    path = tmp_path_factory.mktemp("song") / "song.wav"
    mixture = np.sum(list(synthesize_band(3.0, sample_rate=44100, seed=1).values()), axis=0)
    soundfile.write(path, mixture.T, 44100, subtype="PCM_16")
    return path
