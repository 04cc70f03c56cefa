"""Formats of exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from soloist.errors import UsageError
from soloist.export import runtimes
from soloist.export.half_weights import halve_onnx, halve_openvino
from soloist.export.whole_separators import to_torch_export, to_torchscript
from soloist.inference.graphs.formats import to_onnx, to_openvino
from soloist.inference.graphs.signature import Signature

FormatName = Literal["onnx", "openvino", "torchscript", "torch-export"]
WeightPrecision = Literal["float32", "float16"]


@dataclass(frozen=True)
class ExportFormat:
    """Format of exports.

    Attributes:
        title: Name for people.
        files: Files of an export; the first one is opened.
        write: Writes a separator into the first file.
        open: Opens the first file in the runtime.
        runtime: Package of the runtime.
        whole: True if the file holds the whole separator, waveform to waveform; False for its graph alone.
        halve: Stores the weights of the first file in float16; None if the format has no such form.
    """

    title: str
    files: tuple[str, ...]
    write: Callable[..., Signature]
    open: Callable[[Path], runtimes.Run]
    runtime: str
    whole: bool
    halve: Callable[[Path], None] | None = None


FORMATS: dict[str, ExportFormat] = {
    "onnx": ExportFormat(
        "ONNX",
        ("model.onnx",),
        to_onnx,
        runtimes.open_onnx,
        "onnxruntime",
        whole=False,
        halve=halve_onnx,
    ),
    "openvino": ExportFormat(
        "OpenVINO IR",
        ("model.xml", "model.bin"),
        to_openvino,
        runtimes.open_openvino,
        "openvino",
        whole=False,
        halve=halve_openvino,
    ),
    "torchscript": ExportFormat(
        "TorchScript", ("model.pt",), to_torchscript, runtimes.open_torchscript, "torch", whole=True
    ),
    "torch-export": ExportFormat(
        "torch.export", ("model.pt2",), to_torch_export, runtimes.open_torch_export, "torch", whole=True
    ),
}


def find_format(name: str) -> ExportFormat:
    """Find a format by name.

    Raises:
        UsageError: There is no such format.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}: there are {', '.join(get_args(FormatName))}")
    return FORMATS[name]


def check_weights(form: ExportFormat, precision: str) -> None:
    """Refuse a precision of the weights that a format does not have.

    Raises:
        UsageError: Names the way out.
    """
    if precision not in get_args(WeightPrecision):
        raise UsageError(
            f"weights are exported in float32 or float16, not in {precision}: the program that runs the file "
            "chooses what it computes in"
        )
    if precision == "float16" and form.halve is None:
        raise UsageError(f"{form.title} has no float16 weights: take --to onnx or openvino, or float32")
