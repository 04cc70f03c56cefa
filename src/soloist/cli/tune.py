"""`soloist tune`: the engine that runs a model fastest on this machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from soloist.cli.console import PrintedTable, loading, print_table, progress_bar, warn
from soloist.cli.names import check_model, complete_model
from soloist.cli.options import DeviceOption, PrecisionOption, QuietOption
from soloist.errors import SoloistError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from soloist.inference import Calibration, Trial

_HEADINGS = ("engine", "precision", "threads", "batch", "chunk", "start", "memory", "error", "fastest")


def tune(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Models by name (see: soloist models), or folders.",
            autocompletion=complete_model,
            show_default=False,
        ),
    ],
    threads: Annotated[int | None, typer.Option(help="Most processor threads; default: all.", min=1)] = None,
    budget: Annotated[float, typer.Option(help="Seconds for each time; at least three runs.")] = 1.0,
    precision: PrecisionOption = "auto",
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Measure the installed engines with a model, once for each machine and device.

    `soloist separate` then takes the fastest one that estimates the same as PyTorch, or in bfloat16 so nearly
    the same that the difference lies below -45 dB of the mixture. Of an ensemble or a chain each model is
    measured, and separates with the engine that it would have alone. With --precision float32 no other
    precision is measured, and so none is taken.

    `soloist tune tiny-tfc-tdf-songs`
    """
    if len(models) == 1:
        check_model(models[0])
    models = _single_models(models)
    with loading(quiet=quiet):
        from soloist.inference import tune as tune_model
    failed = []
    for model in models:
        try:
            with progress_bar("{task.description} ...", quiet=quiet) as bar:
                notify = partial(_tell, bar, bar.add_task(model), model)
                calibration = tune_model(
                    model, threads=threads, budget=budget, notify=notify, precision=precision, device=device
                )
        except SoloistError as error:
            if len(models) == 1:
                raise
            failed.append(model)
            warn(str(error))
            continue
        _show(model, calibration)
    if failed:
        raise typer.Exit(1)


def _single_models(models: list[str]) -> list[str]:
    """Models by themselves, in place of the ensembles and chains that they are in; each once."""
    from soloist.zoo.composition_files import find_composition

    found = [(model, find_composition(model)) for model in models]
    return list(
        dict.fromkeys(leaf for model, whole in found for leaf in (whole.leaves if whole else [model]))
    )


def _tell(bar: Progress, task: TaskID, model: str, engine: str) -> None:
    bar.update(task, description=f"{model}: {engine}")


def _show(model: str, calibration: Calibration) -> None:
    best = calibration.fastest()
    rows = [[*_cells(trial), "yes" if trial == best else ""] for trial in calibration.trials]
    typer.echo(model)
    print_table(PrintedTable(_HEADINGS, rows, _HEADINGS[2:7]))
    for failure in calibration.failures:
        warn(failure)


def _cells(trial: Trial) -> list[str]:
    return [
        trial.engine,
        trial.precision,
        str(trial.threads),
        str(trial.batch_size),
        f"{1000 * trial.chunk:.1f} ms",
        f"{trial.start:.2f} s",
        "" if trial.memory is None else f"{trial.memory:.0f} MB",
        _error(trial) + ("" if trial.is_equal else ", too much"),
    ]


def _error(trial: Trial) -> str:
    """Difference from PyTorch in float32, relative to the peak; that of a lower precision in dB."""
    return f"{trial.difference:.0e}" if trial.precision == "float32" else f"{trial.deviation:.0f} dB"
