"""The command `soloist`: turns errors and Ctrl-C into one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from soloist.errors import Interrupted, SoloistError
from soloist.resources.interrupts import interruptible

INTERRUPTED = 130
"""The exit code that Typer makes of Ctrl-C, as shells do."""

_INTERRUPTED = "interrupted; nothing half-written was left behind"


def main() -> None:
    """Run the command line; leave with 0, 2 for wrong usage, 1 for a failure, 130 if interrupted."""
    # Threads that spin for long while they wait take the processor from each other as soon as anything else
    # runs: four times slower on a busy machine. Read by OpenMP when PyTorch is imported, which is later.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Huge pages for PyTorch's large tensors make it cheap to give their memory back at once.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    interrupts = None
    try:
        with interruptible() as interrupts:
            # Here, because it takes long enough for somebody to think better of it.
            from soloist.cli.app import app

            app([argument for argument in arguments if argument != "--debug"])
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
        _fail(*_explain(error))


def _explain(error: Exception) -> tuple[str, int]:
    """What to say of an error, and the exit code."""
    if isinstance(error, SoloistError):
        return str(error), error.exit_code
    if isinstance(error, OSError):
        return f"{error.filename or 'input/output'}: {error.strerror or error}", 1
    return f"internal error: {type(error).__name__}: {error} (--debug shows where)", 1


def _fail(message: str, code: int) -> NoReturn:
    # Python remembers that an `eval` was interrupted, until the next one, and would end by the signal.
    eval("None")
    print(f"soloist: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
