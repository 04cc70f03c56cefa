"""Commands that end, lose their room or their rights at a chosen moment: what they leave, what comes next."""

from __future__ import annotations

import ctypes
import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import traceback
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from soloist import files
from soloist.files import PARTIAL

if sys.platform != "win32":
    import resource

MOMENTS = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"})
"""Audit events of files that are made, renamed and removed."""


@dataclass
class Outcome:
    """End of a command.

    Attributes:
        code: Exit code, negative for the signal that killed it.
        out: Standard output.
        err: Standard error.
        moments: File operations below the watched folder.
    """

    code: int
    out: str
    err: str
    moments: list[str]


def send(number: int) -> Callable[[], None]:
    """Fault: the command sends itself a signal."""
    return lambda: os.kill(os.getpid(), number)


def fill_disk(size: int = 0) -> Callable[[], None]:
    """Fault: no file grows beyond a size any more, as on a full disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


def die_within_file(size: int) -> Callable[[], None]:
    """Fault: the process is killed when a file that it writes reaches a size."""

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        fill_disk(size)()

    return prepare


def lose_rights(*folders: Path) -> Callable[[], None]:
    """Fault: those of the folders that exist become read-only, for the super-user too."""

    def lose() -> None:
        drop_capabilities()
        for folder in folders:
            if folder.is_dir():
                folder.chmod(0o555)

    return lose


def drop_capabilities() -> None:
    """Heed the modes of files and folders in this process, also as the super-user of Linux."""
    if sys.platform == "linux" and not os.geteuid():
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3; this process
        if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()):
            raise OSError(ctypes.get_errno(), "capset")


def run_forked(
    *arguments: object,
    watch: Path,
    at: int = 0,
    fault: Callable[[], None] | None = None,
    prepare: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run a command in a fork of this process, which spares the import of PyTorch.

    Args:
        *arguments: Arguments of `soloist`.
        watch: Folder whose file operations are the moments of the command.
        at: Moment of the fault, from 1; 0 for none.
        fault: The fault, in the fork; by default it is killed.
        prepare: Called in the fork before the command.
    """
    # Pipes, which a full disk does not concern.
    pipes = [os.pipe() for _ in range(3)]
    child = os.fork()
    if not child:
        _run([writer for _, writer in pipes], arguments, watch, at, fault or send(signal.SIGKILL), prepare)
    for _, writer in pipes:
        os.close(writer)
    with ThreadPoolExecutor(len(pipes)) as threads:
        out, err, moments = threads.map(_read, [reader for reader, _ in pipes])
    _, status = os.waitpid(child, 0)
    return Outcome(os.waitstatus_to_exitcode(status), out, err, moments.splitlines())


def start_forked(*arguments: object) -> multiprocessing.Process:
    """Start a command in a fork of this process, which spares the import of PyTorch; its output is lost."""
    process = multiprocessing.get_context("fork").Process(target=_start, args=arguments)
    process.start()
    return process


def _start(*arguments: object) -> None:
    sys.argv = ["soloist", *map(str, arguments)]
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    from soloist.cli.main import main

    main()


def _read(reader: int) -> str:
    with os.fdopen(reader, errors="backslashreplace") as file:
        return file.read()


def _run(pipes, arguments, watch, at, fault, prepare) -> None:
    """The part of `run_forked` in the fork, which does not return."""
    code = 99
    try:
        os.dup2(pipes[0], 1)
        os.dup2(pipes[1], 2)
        sys.stdout, sys.stderr = (open(fd, "w", closefd=False) for fd in (1, 2))  # noqa: SIM115
        _watch(os.fspath(watch), pipes[2], at, fault)
        sys.argv = ["soloist", *map(str, arguments)]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        prepare()
        from soloist.cli.main import main

        # A process of its own would visit every folder for the first time.
        files._visited.clear()

        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _watch(folder: str, log: int, at: int, fault: Callable[[], None]) -> None:
    """Count the file operations on a folder and below it; at one of them comes the fault."""
    # A number of its own for each operation, whichever threads they are in.
    numbers = itertools.count(1)

    def note(event: str, values: tuple[object, ...]) -> None:
        if event not in MOMENTS or not isinstance(values[0], str | bytes | os.PathLike):
            return
        path = os.fsdecode(values[0])
        if path == folder or path.startswith(folder + os.sep):
            number = next(numbers)
            os.write(log, f"{event} {path}\n".encode(errors="backslashreplace"))
            if number == at:
                fault()

    sys.addaudithook(note)


def moments_of(seed: str, count: int, total: int) -> list[int]:
    """Draw some of the moments of a command, the same for a seed."""
    rng = random.Random(zlib.crc32(f"{seed} {os.environ.get('SOLOIST_TEST_SEED', '')}".encode()))
    return sorted(rng.sample(range(1, total + 1), min(count, total)))


def leftovers(folder: Path) -> list[Path]:
    """Files and folders that somebody began to write and did not finish."""
    return sorted(folder.rglob(PARTIAL))


def tree(folder: Path) -> dict[str, bytes]:
    """Contents of the files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def run_mounted(
    folder: Path, options: str, script: str, *arguments: object
) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which a folder is a file system of its own, or skip where none can be mounted.

    Args:
        folder: The folder, `$FOLDER` in the script.
        options: Options of the `tmpfs`.
        script: Script, with `soloist` as a command.
        *arguments: Arguments of the script.
    """
    mount = f'mount -t tmpfs -o {options} tmpfs "$FOLDER"'
    environment = {**os.environ, "FOLDER": str(folder)}
    try:
        trial = subprocess.run(["unshare", "-Urm", "sh", "-c", mount], env=environment, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no file system can be mounted here: there is no unshare")
    if trial.returncode:
        pytest.skip(f"no file system can be mounted here: {trial.stderr.decode().strip()}")
    command = f'soloist() {{ "{sys.executable}" -m soloist.cli.main "$@"; }}\n{mount} || exit 99\n{script}'
    return subprocess.run(
        ["unshare", "-Urm", "sh", "-c", command, "sh", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
