"""Processes of a command: an interruption ends them, they clean up, and they say nothing."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from soloist.resources import Processes, without_interrupts

PROGRAM = """
import sys, tempfile, time
from soloist.resources import Processes

def work(folder):
    with tempfile.TemporaryDirectory(dir=folder) as own:
        open(f"{own}/begun", "w").close()
        time.sleep(600)

if __name__ == "__main__":
    try:
        with Processes(2) as pool:
            works = [pool.submit(work, sys.argv[1]) for _ in range(5)]
            print("begun", flush=True)
            works[0].result()
    except KeyboardInterrupt:
        sys.exit("interrupted")
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")


@pytest.fixture
def program(tmp_path):
    """Start a program whose two processes each keep a folder while they work, in the folder `work`."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "work").mkdir()
    return subprocess.Popen(
        [sys.executable, tmp_path / "program.py", tmp_path / "work"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def are_there(group: int) -> bool:
    """Whether any process of a group lives."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def kill(process: int, number: int) -> None:
    """Kill a process without a chance to clean up, in place of interrupting it."""
    os.kill(process, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("at_work", [True, False])
@pytest.mark.parametrize("interrupt", [os.killpg, os.kill, kill])
def test_an_interruption_or_a_kill_of_their_program_ends_them(program, tmp_path, at_work, interrupt):
    deadline = time.monotonic() + 300
    program.stdout.readline()
    while at_work and len(list((tmp_path / "work").glob("*/begun"))) < 2:
        assert program.poll() is None
        time.sleep(0.01)
    interrupt(program.pid, signal.SIGINT)
    # Ends when all of them have closed the pipe.
    said = program.communicate(timeout=300)[1]
    if interrupt is not kill:
        assert said == b"interrupted\n"
        # What tracks their resources ends when it notices that all others have.
        while time.monotonic() < deadline and are_there(program.pid):
            time.sleep(0.01)
        assert not are_there(program.pid)
    assert list((tmp_path / "work").iterdir()) == []


def test_they_begin_with_what_is_asked_for():
    with Processes(1, os.umask, 0o027) as processes:
        assert processes.submit(os.umask, 0).result() == 0o027
        assert list(processes.map(abs, [-1, 2])) == [1, 2]


def test_an_interrupt_is_put_off():
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with without_interrupts():
            # To this thread: another one of the process would hear what is sent to any.
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            assert heard == []
        assert heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)
