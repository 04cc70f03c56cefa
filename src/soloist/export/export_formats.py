"""The formats that separators are exported to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from soloist.errors import UsageError
from soloist.export import runtimes
from soloist.export.whole_separators import to_torch_export, to_torchscript
from soloist.inference.graphs.formats import to_onnx, to_openvino
from soloist.inference.graphs.signature import Signature

FormatName = Literal["onnx", "openvino", "torchscript", "torch-export"]


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        title: What it is called.
        files: The files of an export; the first is the one that is opened.
        write: Writes a separator into that one.
        open: Makes it ready to run.
        runtime: The package that does that.
        whole: Whether the whole separator is in it, from waveform to waveform, or its graph alone.
    """

    title: str
    files: tuple[str, ...]
    write: Callable[..., Signature]
    open: Callable[[Path], runtimes.Run]
    runtime: str
    whole: bool


FORMATS: dict[str, Format] = {
    "onnx": Format("ONNX", ("model.onnx",), to_onnx, runtimes.open_onnx, "onnxruntime", whole=False),
    "openvino": Format(
        "OpenVINO IR",
        ("model.xml", "model.bin"),
        to_openvino,
        runtimes.open_openvino,
        "openvino",
        whole=False,
    ),
    "torchscript": Format(
        "TorchScript", ("model.pt",), to_torchscript, runtimes.open_torchscript, "torch", whole=True
    ),
    "torch-export": Format(
        "torch.export", ("model.pt2",), to_torch_export, runtimes.open_torch_export, "torch", whole=True
    ),
}


def find_format(name: str) -> Format:
    """The format of a name.

    Raises:
        UsageError: There is no such format.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}: there are {', '.join(get_args(FormatName))}")
    return FORMATS[name]
