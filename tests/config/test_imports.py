"""Imported files: the copies for processes that a program starts, and names of users that do not exist."""

import os
import signal
import subprocess
import sys

import pytest

from soloist.config.imports import import_code, request
from soloist.errors import ConfigError, UsageError

PROGRAM = """
import os, signal, sys
from soloist.config.imports import import_code
import_code(sys.argv[1])
os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="locks and signals are those of POSIX")
def test_copies_of_a_killed_program_are_removed_by_the_next_one(tmp_path):
    source, temporary = tmp_path / "mine.py", tmp_path / "temporary"
    source.write_text("class Mine: pass\n")
    temporary.mkdir()

    def run(number):
        command = [sys.executable, "-c", PROGRAM, str(source), str(int(number))]
        return subprocess.run(command, env={**os.environ, "TMPDIR": str(temporary)}, timeout=60).returncode

    assert run(signal.SIGKILL) == -signal.SIGKILL
    assert [path.name for path in temporary.rglob("*.py")] == ["mine.py"]
    assert run(0) == 0
    assert list(temporary.iterdir()) == []


def test_a_user_that_does_not_exist_is_no_home():
    with pytest.raises(ConfigError, match=r"cannot read .*~nosuchuser/mine\.py"):
        import_code("~nosuchuser/mine.py")
    with pytest.raises(UsageError, match=r"--import ~nosuchuser/mine\.py: there is no such file"):
        request(["~nosuchuser/mine.py"])
