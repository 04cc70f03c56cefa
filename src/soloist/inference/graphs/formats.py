"""A separator's graph as ONNX and as a model of OpenVINO."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from soloist.inference.graphs.capture import capture, example_mixture, explained, optimized, quiet
from soloist.inference.graphs.recurrence import whole_recurrences
from soloist.inference.graphs.signature import FREE, FreeAxis, Signature, signature_of
from soloist.resources import import_extra
from soloist.separators import Separator


@torch.no_grad()
def to_onnx(
    separator: Separator,
    path: Path,
    *,
    batch: int = 1,
    length: int | None = None,
    free: Sequence[FreeAxis] = FREE,
) -> Signature:
    """Write a separator's graph as an ONNX file.

    Args:
        separator: In eval mode. It is copied, and the copy optimised.
        path: The file.
        batch: Items of a batch, if their number is not free.
        length: Samples of the mixture that the graph is given something of, if the length is not free; None
            for the separator's best chunk.
        free: The axes of any size; none for a graph of fixed shapes.

    Returns:
        What the graph is given and what it returns.

    Raises:
        UsageError: The separator has no graph, or what writes ONNX is not installed.
        ExportError: The graph cannot be written down with these axes free.
    """
    separator = optimized(separator)
    inputs, _ = separator.stage(example_mixture(separator, batch, length, free))
    assert separator.graph is not None
    return write_onnx(separator.graph, inputs, path, free=free)


@torch.no_grad()
def write_onnx(
    graph: nn.Module, inputs: Sequence[Tensor], path: Path, *, free: Sequence[FreeAxis] = ()
) -> Signature:
    """Write a graph as an ONNX file.

    Args:
        graph: A separator's graph, in eval mode.
        inputs: An example of what it is given; no free axis of it has one element alone.
        path: The file.
        free: The axes whose size need not be that of the example.

    Returns:
        What the graph is given and what it returns.

    Raises:
        UsageError: What writes ONNX is not installed.
        ExportError: The graph cannot be written down with these axes free.
    """
    import_extra("onnxscript", "export")
    outputs = graph(*inputs)
    signature = signature_of(inputs, [outputs] if isinstance(outputs, Tensor) else outputs, free)
    program = capture(graph, inputs, signature.inputs)
    with quiet(), whole_recurrences(), explained("torch.onnx"):
        exported = torch.onnx.export(
            program,
            input_names=[port.name for port in signature.inputs],
            output_names=[port.name for port in signature.outputs],
            # The program knows which sizes are free; these are their names.
            dynamic_shapes=[port.free for port in signature.inputs],
            verbose=False,
        )
        assert exported is not None
        exported.save(str(path), external_data=False)
    return signature


def to_openvino(
    separator: Separator,
    path: Path,
    *,
    batch: int = 1,
    length: int | None = None,
    free: Sequence[FreeAxis] = FREE,
) -> Signature:
    """Write a separator's graph as a model of OpenVINO: an `.xml` file, and a `.bin` file beside it.

    It goes by way of ONNX, of which OpenVINO reads more with free sizes than of `torch.export`.

    Args:
        separator: See `to_onnx`.
        path: The `.xml` file.
        batch: See `to_onnx`.
        length: See `to_onnx`.
        free: See `to_onnx`.

    Returns:
        What the graph is given and what it returns.

    Raises:
        UsageError: The separator has no graph, or OpenVINO or what writes ONNX is not installed.
        ExportError: The graph cannot be written down with these axes free.
    """
    import_extra("openvino", "openvino")
    with tempfile.TemporaryDirectory() as scratch:
        onnx = Path(scratch) / "graph.onnx"
        signature = to_onnx(separator, onnx, batch=batch, length=length, free=free)
        onnx_to_openvino(onnx, path)
    return signature


def onnx_to_openvino(onnx: Path, path: Path) -> None:
    """Write an ONNX file as a model of OpenVINO: an `.xml` file, and a `.bin` file beside it.

    Raises:
        UsageError: OpenVINO is not installed.
        ExportError: There is something in the file that OpenVINO does not know.
    """
    openvino = import_extra("openvino", "openvino")
    with explained("OpenVINO"):
        # Weights in half precision would be the default.
        openvino.save_model(openvino.Core().read_model(onnx), path, compress_to_fp16=False)
