"""`soloist data`: corpora before they are trained on."""

from __future__ import annotations

import typer

from soloist.cli import check, convert
from soloist.cli.corpora import CONTEXT

app = typer.Typer(help="Check and convert corpora.", no_args_is_help=True, add_completion=False)
app.command("check", context_settings=CONTEXT)(check.check)
app.command("convert", context_settings=CONTEXT)(convert.convert)


@app.callback()
def _data() -> None:
    """Check and convert corpora."""
