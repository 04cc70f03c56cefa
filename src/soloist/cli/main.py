"""The command `soloist`: gathers the commands and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from soloist import __version__
from soloist.cli import (
    data,
    evaluate,
    export,
    info,
    init,
    models,
    plot,
    profile,
    report,
    run,
    runs,
    score,
    search,
    separate,
    sweep,
    test,
    train,
    tune,
    visualize,
)
from soloist.errors import SoloistError

INTERRUPTED = 130
"""The exit code that Typer makes of Ctrl-C, as shells do."""

app = typer.Typer(
    name="soloist",
    help="Take a mixture of sounds apart: songs into stems, talkers from one another.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("separate")(separate.separate)
app.command("info")(info.info)
app.command("plot")(plot.plot)
app.command("score")(score.score)
app.command("evaluate")(evaluate.evaluate)
app.command("report")(report.report)
app.command("export")(export.export)
app.command("init")(init.init)
app.command("train", context_settings={"ignore_unknown_options": True})(train.train)
app.command("sweep", context_settings={"ignore_unknown_options": True})(sweep.sweep)
app.command("runs")(runs.runs)
app.command("run", context_settings={"ignore_unknown_options": True})(run.run)
app.command("profile")(profile.profile)
app.command("test", context_settings={"ignore_unknown_options": True})(test.measure)
app.command("tune")(tune.tune)
app.command("visualize", context_settings={"ignore_unknown_options": True})(visualize.visualize)
app.add_typer(search.app, name="search")
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"soloist {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. Works at any place.")
    ] = False,
) -> None:
    """Take a mixture of sounds apart: songs into stems, talkers from one another."""


def main() -> None:
    """Run the command line; leave with 0, 2 for wrong usage, 1 for a failure, 130 if interrupted."""
    # Threads that spin for long while they wait take the processor from each other as soon as anything else
    # runs: four times slower on a busy machine. Read by OpenMP when PyTorch is imported, which is later.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Huge pages for PyTorch's large tensors make it cheap to give their memory back at once.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        app(arguments)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            _fail("interrupted; nothing half-written was left behind", INTERRUPTED)
        raise
    except SoloistError as error:
        if debug:
            raise
        _fail(str(error), error.exit_code)
    except OSError as error:
        if debug:
            raise
        _fail(f"{error.filename or 'input/output'}: {error.strerror or error}", 1)
    except Exception as error:
        if debug:
            raise
        _fail(f"internal error: {type(error).__name__}: {error} (--debug shows where)", 1)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"soloist: {' '.join(message.split())}", err=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
