"""The commands of `soloist`, in the panels of its help."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Annotated

import typer

from soloist import __version__
from soloist.cli import (
    data,
    doctor,
    evaluate,
    export,
    info,
    init,
    live,
    models,
    profile,
    report,
    runs,
    score,
    separate,
    serve,
    train,
    tune,
    visualize,
)
from soloist.cli.help_pages import Command, Commands
from soloist.cli.options import OVERRIDES

_SEPARATE, _MEASURE, _TRAIN, _LOOK, _SHIP = "Separate", "Measure", "Train", "Look", "Ship"

app = typer.Typer(
    name="soloist",
    cls=Commands,
    help="Separate a mixture of sounds: songs into stems, talkers from one another.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("separate", cls=Command, rich_help_panel=_SEPARATE)(separate.separate)
app.command("live", cls=Command, rich_help_panel=_SEPARATE)(live.live)
app.command("serve", cls=Command, rich_help_panel=_SEPARATE)(serve.serve)
app.command("mix", cls=Command, rich_help_panel=_SEPARATE)(serve.mix)
app.add_typer(models.app, name="models", rich_help_panel=_SEPARATE)
app.command("info", cls=Command, rich_help_panel=_SEPARATE)(info.info)
app.command("evaluate", cls=Command, rich_help_panel=_MEASURE, context_settings=OVERRIDES)(evaluate.evaluate)
app.command("score", cls=Command, rich_help_panel=_MEASURE)(score.score)
app.command("report", cls=Command, rich_help_panel=_MEASURE)(report.report)
app.command("profile", cls=Command, rich_help_panel=_MEASURE)(profile.profile)
app.command("init", cls=Command, rich_help_panel=_TRAIN)(init.init)
app.add_typer(data.app, name="data", rich_help_panel=_TRAIN)
app.command("train", cls=Command, rich_help_panel=_TRAIN, context_settings=OVERRIDES)(train.train)
app.command("runs", cls=Command, rich_help_panel=_TRAIN)(runs.runs)
app.command("visualize", cls=Command, rich_help_panel=_LOOK, context_settings=OVERRIDES)(visualize.visualize)
app.command("export", cls=Command, rich_help_panel=_SHIP)(export.export)
app.command("tune", cls=Command, rich_help_panel=_SHIP)(tune.tune)
app.command("doctor", cls=Command, rich_help_panel=_SHIP)(doctor.doctor)


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """The app with the called command alone: Typer looks at all options of all commands that it has."""
    called = copy.copy(app)
    called.registered_commands = [each for each in app.registered_commands if each.name in arguments[:1]]
    called.registered_groups = [each for each in app.registered_groups if each.name in arguments[:1]]
    return called if called.registered_commands or called.registered_groups else app


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
            help="File (mine.py) or package with parts of your own for recipes. Works at any place.",
        ),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Run the code in a model folder, unasked. Works at any place."),
    ] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Download nothing, as with SOLOIST_OFFLINE=1. Works at any place."),
    ] = False,
) -> None:
    """Separate a mixture of sounds: songs into stems, talkers from one another."""
