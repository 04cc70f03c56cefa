"""`soloist data`: corpora before they are trained on."""

from __future__ import annotations

import typer

app = typer.Typer(help="Check and convert corpora.", no_args_is_help=True, add_completion=False)


@app.callback()
def _data() -> None:
    """Check and convert corpora."""
