"""The command `soloist`: errors and Ctrl-C become one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from soloist.config import imports
from soloist.errors import Interrupted, SoloistError, UsageError, explain, one_line
from soloist.resources import interruptible

INTERRUPTED = 130
"""Exit code of Typer, and of shells, after Ctrl-C."""

_INTERRUPTED = "interrupted; nothing half-written was left behind"


def main() -> None:
    """Run the command line; exit with 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C."""
    # Waiting threads that spin for long slow a busy machine down by a factor of four. OpenMP reads the
    # variable when PyTorch is imported, which is later.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Huge pages for PyTorch's large tensors make it cheap to give their memory back at once.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal or the file cannot show is shown with escapes, as on standard error.
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv
    interrupts = None
    try:
        with interruptible() as interrupts:
            arguments = take_global_options(sys.argv[1:])
            # Imported here, so that Ctrl-C is handled during the import.
            from soloist.cli.app import app

            raise SystemExit(app(arguments, prog_name="soloist", standalone_mode=False))
    except KeyboardInterrupt:
        _fail(_INTERRUPTED, INTERRUPTED)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            _fail(_INTERRUPTED, INTERRUPTED)
        raise
    except Exception as error:
        if interrupts is not None and interrupts.heard and not isinstance(error, Interrupted):
            _fail(_INTERRUPTED, INTERRUPTED)
        if debug:
            raise
        _fail(*(_explain_parsing(error) or _explain(error)))


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


def _fail(message: str, code: int) -> NoReturn:
    # Clears Python's record of an interrupted `eval`; otherwise the process would end by the signal.
    eval("None")
    print(f"soloist: {one_line(message)}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
