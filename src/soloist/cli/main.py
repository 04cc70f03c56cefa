"""The command `soloist`: errors and Ctrl-C become one line and an exit code."""

from __future__ import annotations

import atexit
import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn, TextIO

from soloist.config import imports
from soloist.errors import Interrupted, SoloistError, UsageError, explain, one_line
from soloist.resources import Interrupts, interruptible
from soloist.zoo.published_files import OFFLINE

INTERRUPTED = 130
"""Exit code of Typer, and of shells, after Ctrl-C."""

_CLOSED = 141
"""Exit code of shells after a write to a closed pipe."""


def main() -> None:
    """Run the command line and exit.

    The code is 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C, 143 and 129 after SIGTERM and SIGHUP,
    and 141 if standard output was closed.
    """
    # Waiting threads that spin for long slow a busy machine down by a factor of four. OpenMP reads the
    # variable when PyTorch is imported, which is later.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal or the file cannot show is shown with escapes, as on standard error.
        sys.stdout.reconfigure(errors="backslashreplace")
        _name_output(sys.stdout)
    # Python collects garbage when it ends, which takes a fifth of a second with the objects of PyTorch.
    atexit.register(gc.freeze)
    debug = "--debug" in sys.argv
    interrupts = Interrupts()
    try:
        with interruptible(interrupts):
            arguments = take_global_options(sys.argv[1:])
            # Imported here, so that Ctrl-C is handled during the import.
            from soloist.cli.app import app_for

            _run(app_for(arguments), arguments)
    except KeyboardInterrupt:
        _fail_interrupted(interrupts)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            _fail_interrupted(interrupts)
        if isinstance(stop.__context__, BrokenPipeError):  # of Typer or Rich
            _leave_closed_pipe()
        raise
    except BrokenPipeError:
        _leave_closed_pipe()
    except Exception as error:
        if interrupts.number is not None:
            _fail_interrupted(interrupts, explain(error) if isinstance(error, Interrupted) else "")
        if debug:
            raise
        _fail(*(_explain_parsing(error) or _explain(error)))


def _run(app: Callable[..., Any], arguments: Sequence[str]) -> NoReturn:
    """Run the command and write all of its output, so that a failure to write it is noticed."""
    try:
        raise SystemExit(app(arguments, prog_name="soloist", standalone_mode=False))
    finally:
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError:
            _discard(sys.stdout)
            raise


class _Output(io.FileIO):
    """Standard output whose errors have its name."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, "standard output") from error


def _name_output(out: io.TextIOWrapper) -> None:
    """Let errors of standard output tell that they are its own, where it is Python's own stream."""
    # With PYTHONUNBUFFERED there is no buffer between the text and the file.
    if out is not sys.__stdout__ or type(getattr(out.buffer, "raw", out.buffer)) is not io.FileIO:
        return
    out.flush()
    raw = _Output(out.fileno(), "w", closefd=False)
    buffer: Any = io.BufferedWriter(raw) if hasattr(out.buffer, "raw") else raw
    sys.stdout = io.TextIOWrapper(
        buffer,
        out.encoding,
        out.errors,
        line_buffering=out.line_buffering,
        write_through=out.write_through,
    )


def take_global_options(arguments: Sequence[str]) -> list[str]:
    """Apply the options that may stand at any place, and return the other arguments.

    Raises:
        UsageError: `--import` has no value, or there is no such file.
    """
    rest, files, trust = [], [], False
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, value = argument.partition("=")
        if name == "--import":
            value = value if equals else next(remaining, "")
            if not value:
                raise UsageError("--import needs a file or a package")
            files.append(value)
        elif argument == "--trust":
            trust = True
        elif argument == "--offline":
            os.environ[OFFLINE] = "1"
        elif argument != "--debug":
            rest.append(argument)
    if files or trust:
        imports.request(files, trust=trust)
    if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        imports.ask_with(_ask)
    return rest


def _ask(question: str) -> bool:
    import typer

    return typer.confirm(question, err=True)


def _explain_parsing(error: Any) -> tuple[str, int] | None:
    """Message and exit code of an error that Typer found in the arguments; None for other errors."""
    import typer

    if isinstance(error, typer.Abort):
        return "aborted", 1
    # Of its errors, Typer names in public only one class below the one that is meant.
    parsing: Any = typer.BadParameter.__mro__[1]
    if not isinstance(error, parsing):
        return None
    message, context = error.format_message().removesuffix("."), error.ctx
    if not message:
        # The help page was the answer.
        raise SystemExit(error.exit_code)
    page = f"; {context.command_path} -h explains the arguments" if context else ""
    return f"{message[0].lower()}{message[1:]}{page}", error.exit_code


def _explain(error: Exception) -> tuple[str, int]:
    """Message and exit code of an error."""
    return explain(error), error.exit_code if isinstance(error, SoloistError) else 1


def _fail_interrupted(interrupts: Interrupts, message: str = "") -> NoReturn:
    """Leave after a signal, with the code that shells give it."""
    number = interrupts.number or signal.SIGINT
    word = "interrupted" if number == signal.SIGINT else "terminated"
    _fail(message or f"{word}; nothing half-written was left behind", 128 + number)


def _leave_closed_pipe() -> NoReturn:
    """Leave without a word: whoever read the output has seen enough."""
    _discard(sys.stdout)
    _discard(sys.stderr)
    raise SystemExit(_CLOSED)


def _discard(stream: TextIO) -> None:
    """Let Python's last flush of what cannot be written go nowhere."""
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fail(message: str, code: int) -> NoReturn:
    # Clears Python's record of an interrupted `eval`; otherwise the process would end by the signal.
    eval("None")
    try:
        print(f"soloist: {one_line(message)}", file=sys.stderr or io.StringIO(), flush=True)
    except OSError:  # nobody reads it
        _discard(sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
