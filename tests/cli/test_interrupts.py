"""Ctrl-C while a command starts: one line, whatever is being imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Interrupts itself when a package is about to be imported, in one way or another.
PROGRAM = """
import signal, sys, time

signal.signal(signal.SIGINT, signal.default_int_handler)

def plainly():
    signal.raise_signal(signal.SIGINT)

def as_if_missing():
    try:
        plainly()
    except KeyboardInterrupt as stop:
        raise ImportError("initialization failed") from stop

class Lost:
    def __del__(self):
        plainly()

def where_it_is_lost():
    Lost()
    time.sleep(600)

class Finder:
    def find_spec(self, name, *_):
        if name == package:
            globals()[way]()

package, way, *sys.argv[1:] = sys.argv[1:]
sys.meta_path.insert(0, Finder())

from soloist.cli.main import main
main()
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")


def interrupted(package: str, way: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, package, way, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("typer", "--help"),
        ("numpy", "info x.wav"),
        ("torch", "separate x.wav"),
        ("torch", "evaluate hpss corpus"),
        ("torch", "tune hpss"),
        ("torch", "search slicq corpus"),
        ("torch", "train tiny-sudormrf-digits --data.root ."),
        ("torch", "run tiny-sudormrf-digits --data.root ."),
        ("soundfile", "data convert corpus flac"),
        ("rich.progress", "models download hpss"),
    ],
)
def test_one_line_tells_of_it(package, arguments, tmp_path):
    done = interrupted(package, "plainly", *arguments.split())
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "soloist: interrupted; nothing half-written was left behind\n"


@pytest.mark.parametrize("way", ["as_if_missing", "where_it_is_lost"])
def test_it_is_not_taken_for_something_else(way):
    done = interrupted("torch", way, "separate", "x.wav")
    assert done.returncode == 130
    assert done.stderr == "soloist: interrupted; nothing half-written was left behind\n"


def test_of_processes_that_train_together_the_first_tells(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    done = interrupted("typer", "plainly", "--help")
    assert (done.returncode, done.stderr) == (130, "")
