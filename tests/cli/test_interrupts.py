"""Ctrl-C at bad moments: one line, and not another word."""

from __future__ import annotations

import subprocess
import sys

import pytest

LINE = "soloist: interrupted; nothing half-written was left behind\n"

# Commands whose import of a package is interrupted, and fails of it.
IMPORTING = """
import signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == package:
            signal.raise_signal(signal.SIGINT)
            raise ImportError(f"{name}: initialization failed")

signal.signal(signal.SIGINT, signal.default_int_handler)
package, *sys.argv[1:] = sys.argv[1:]
sys.meta_path.insert(0, Finder())
from soloist.cli.main import main
main()
"""

# A command that interrupts itself.
INTERRUPTED = """
import signal, sys, time, types
from importlib.machinery import ModuleSpec

class Lost:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

class Finder:
    def find_spec(self, name, *_):
        if name == "package":
            signal.raise_signal(signal.SIGINT)
            print("imported")
            return ModuleSpec(name, None)

def app(arguments, **settings):
    eval(sys.argv[1])
    {pause}
    print("done")

signal.signal(signal.SIGINT, signal.{handler})
sys.meta_path.insert(0, Finder())
sys.modules["soloist.cli.app"] = types.SimpleNamespace(app_for=lambda arguments: app)
from soloist.cli.main import main
main()
"""
SOON, NEVER = "time.sleep(600)", ""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")


def outcome(program: str, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("typer", "--help"),
        ("numpy", "info x.wav"),
        ("numpy", "separate ."),
        ("numpy", "evaluate hpss ."),
        ("numpy", "tune hpss"),
        ("numpy", "evaluate . --search slicq"),
        ("yaml", "train tiny-sudormrf-digits --data.root ."),
        ("yaml", "train tiny-sudormrf-digits --stages all --data.root ."),
        ("numpy", "data convert . flac"),
        ("rich.progress", "models download hpss"),
    ],
)
def test_an_import_that_fails_of_it_is_no_other_failure(package, arguments):
    assert outcome(IMPORTING, package, *arguments.split()) == (130, "", LINE)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("signal.raise_signal(signal.SIGINT)", ""),
        # An import comes to its end first.
        ("__import__('package')", "imported\n"),
        # What `__del__` raises cannot be passed on.
        ("Lost()", ""),
    ],
)
def test_it_is_heard(work, said):
    program = INTERRUPTED.format(pause=SOON, handler="default_int_handler")
    assert outcome(program, work) == (130, said, LINE)


def test_what_is_started_in_the_background_does_not_hear_it():
    program = INTERRUPTED.format(pause=NEVER, handler="SIG_IGN")
    assert outcome(program, "signal.raise_signal(signal.SIGINT)") == (0, "done\n", "")


def test_of_processes_that_train_together_only_the_first_hears_it(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    program = INTERRUPTED.format(pause=NEVER, handler="default_int_handler")
    assert outcome(program, "signal.raise_signal(signal.SIGINT)") == (0, "done\n", "")
