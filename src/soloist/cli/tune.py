"""`soloist tune`: which engine runs a model fastest on this machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.status import Status

    from soloist.inference import Calibration, Trial


def tune(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="Models by name (see: soloist models), or folders.", show_default=False
        ),
    ],
    threads: Annotated[
        int | None, typer.Option(help="The most processor threads; default: all.", min=1)
    ] = None,
    budget: Annotated[float, typer.Option(help="Seconds for each time; at least three runs.")] = 1.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the table, and errors.")] = False,
) -> None:
    """Measure the engines that are installed with a model, once for each machine.

    `soloist separate` then takes the fastest that estimates the same as PyTorch. Can be repeated.

    `soloist tune tiny-tfc-tdf-songs`
    """
    from rich.console import Console

    from soloist.errors import SoloistError
    from soloist.inference import tune as tune_model

    console = Console(stderr=True, quiet=quiet)
    failed = []
    for model in models:
        try:
            with console.status(f"{model} ...") as status:
                notify = partial(_tell, status, model)
                calibration = tune_model(model, threads=threads, budget=budget, notify=notify)
        except SoloistError as error:
            if len(models) == 1:
                raise
            failed.append(model)
            typer.echo(f"soloist: {error}", err=True)
            continue
        _show(model, calibration)
    if failed:
        raise typer.Exit(1)


def _tell(status: Status, model: str, engine: str) -> None:
    status.update(f"{model}: {engine} ...")


def _show(model: str, calibration: Calibration) -> None:
    from rich.console import Console
    from rich.table import Table

    best = calibration.fastest()
    table = Table("engine", "threads", "batch", "chunk", "start", "memory", "error", "", title=model)
    for trial in calibration.trials:
        table.add_row(*_cells(trial), "fastest" if trial == best else "")
    Console().print(table)
    for failure in calibration.failures:
        typer.echo(f"soloist: {failure}", err=True)


def _cells(trial: Trial) -> list[str]:
    return [
        trial.engine,
        str(trial.threads),
        str(trial.batch_size),
        f"{1000 * trial.chunk:.1f} ms",
        f"{trial.start:.2f} s",
        "" if trial.memory is None else f"{trial.memory:.0f} MB",
        f"{trial.difference:.0e}" + ("" if trial.is_equal else ", too much"),
    ]
