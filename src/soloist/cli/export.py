"""`soloist export`: models for programs that run without Soloist."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from soloist.cli.console import loading, print_json, print_names
from soloist.cli.names import check_model


def export(
    model: Annotated[
        str, typer.Argument(help="Name (see: soloist models) or a model folder.", show_default=False)
    ],
    to: Annotated[
        Literal["onnx", "openvino", "torchscript", "torch-export"],
        typer.Option(
            help="onnx, openvino: the network. torchscript, torch-export: from waveform to waveform.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write; default: MODEL-FORMAT.")
    ] = None,
    chunk: Annotated[
        float | None,
        typer.Option(
            help="Length of the only mixtures to take, in s, one at a time; default: any, if possible."
        ),
    ] = None,
    precision: Annotated[
        Literal["float32", "float16"],
        typer.Option(
            help="float16: weights in half precision (onnx, openvino), computed in float32.",
            metavar="PRECISION",
        ),
    ] = "float32",
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the contents of model.json.")] = False,
) -> None:
    """Export a model: its file, a card for programs (model.json), and instructions (README.md).

    The export is run and compared with the model; if its output differs, nothing is left.

    `soloist export tiny-sudormrf-digits --to onnx -o digits`
    """
    check_model(model)
    with loading():
        from soloist.export import export as export_separator
        from soloist.zoo import card_of, config_of, load
    card = card_of(model)
    folder = output or Path(f"{card.name}-{to}")
    stated = export_separator(
        load(model), config_of(model), card, folder, to, chunk=chunk, overwrite=force, precision=precision
    )
    if as_json:
        print_json(stated)
        return
    print_names(folder)
    for line in _summary(stated):
        print_names(f"  {line}")


def _summary(stated: dict[str, Any]) -> list[str]:
    check = stated["checked"]
    lines = [
        f"{side} {port['name']}: {', '.join(map(_axis, port['axes'], port['shape']))}"
        for side in ("input", "output")
        for port in stated[f"{side}s"]
    ]
    mixtures = ", ".join(f"{items} x {samples}" for items, samples in check["mixtures"])
    return [
        *lines,
        f"{check['runtime']} differs by {check['difference']:.1e} of the peak (noise, {mixtures} samples)",
    ]


def _axis(name: str, size: int | None) -> str:
    return name if size is None else f"{size} {name}"
