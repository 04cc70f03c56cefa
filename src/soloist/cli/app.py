"""The commands of `soloist`, gathered."""

from __future__ import annotations

from typing import Annotated

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
    imports: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="FILE",
            help="A file (mine.py) or package whose classes recipes may name. Works at any place.",
        ),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run the code that a model folder holds. Works at any place.")
    ] = False,
) -> None:
    """Take a mixture of sounds apart: songs into stems, talkers from one another."""
