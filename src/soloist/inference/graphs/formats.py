"""Export of a separator's graph to ONNX and OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from soloist.files import scratch_folder
from soloist.inference.graphs.capture import capture, example_mixture, explained, optimized, quiet
from soloist.inference.graphs.signature import (
    FREE,
    FreeAxis,
    Signature,
    numbered_signature,
    signature_of,
)
from soloist.inference.graphs.whole_recurrences import whole_recurrences
from soloist.resources import import_extra
from soloist.separators import FrameStep, Separator


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
        separator: The separator, in eval mode; an optimised copy is exported.
        path: The file.
        batch: Items of a batch, if their number is not free.
        length: Samples of the mixture, if the length is not free; None for the separator's best chunk.
        free: Axes of any size; empty for a graph of fixed shapes.

    Returns:
        Inputs and outputs of the graph.

    Raises:
        UsageError: The separator has no graph, or onnxscript is not installed.
        ExportError: The graph cannot be exported with these axes free.
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
        inputs: Example inputs, with at least two elements on each free axis.
        path: The file.
        free: Axes of any size.

    Returns:
        Inputs and outputs of the graph.

    Raises:
        UsageError: onnxscript is not installed.
        ExportError: The graph cannot be exported with these axes free.
    """
    outputs = graph(*inputs)
    signature = signature_of(inputs, [outputs] if isinstance(outputs, Tensor) else outputs, free)
    _write(graph, inputs, signature, path)
    return signature


@torch.no_grad()
def write_step(step: FrameStep, streams: int, frames: int, path: Path) -> None:
    """Write a step of a causal separator as an ONNX file of fixed shapes.

    Args:
        step: The step, in eval mode.
        streams: Streams that take the step together.
        frames: Frames of the step, a multiple of its period.
        path: The file.

    Raises:
        UsageError: onnxscript is not installed.
        ExportError: The step cannot be exported.
    """
    before = torch.zeros(streams, step.channels, step.codec.frame_length - step.hop_length)
    samples = torch.zeros(streams, step.channels, frames * step.hop_length)
    inputs = (samples, *step.begin(before))
    _write(step, inputs, numbered_signature(inputs, step(*inputs)), path)


def _write(graph: nn.Module, inputs: Sequence[Tensor], signature: Signature, path: Path) -> None:
    import_extra("onnxscript", "export")
    program = capture(graph, inputs, signature.inputs)
    with quiet(), whole_recurrences(), explained("torch.onnx"):
        exported = torch.onnx.export(
            program,
            input_names=[port.name for port in signature.inputs],
            output_names=[port.name for port in signature.outputs],
            # Names of the free sizes, which the program has already.
            dynamic_shapes=[port.free for port in signature.inputs] if signature.is_free else None,
            verbose=False,
        )
        assert exported is not None
        exported.save(str(path), external_data=False)


def to_openvino(
    separator: Separator,
    path: Path,
    *,
    batch: int = 1,
    length: int | None = None,
    free: Sequence[FreeAxis] = FREE,
) -> Signature:
    """Write a separator's graph as an OpenVINO model: an `.xml` file, and a `.bin` file beside it.

    The graph passes through ONNX, because OpenVINO reads more graphs with free sizes from ONNX than from
    `torch.export`.

    Args:
        separator: See `to_onnx`.
        path: The `.xml` file.
        batch: See `to_onnx`.
        length: See `to_onnx`.
        free: See `to_onnx`.

    Returns:
        Inputs and outputs of the graph.

    Raises:
        UsageError: The separator has no graph, or OpenVINO or onnxscript is not installed.
        ExportError: The graph cannot be exported with these axes free.
    """
    import_extra("openvino", "openvino")
    with scratch_folder() as scratch:
        onnx = scratch / "graph.onnx"
        signature = to_onnx(separator, onnx, batch=batch, length=length, free=free)
        onnx_to_openvino(onnx, path)
    return signature


def onnx_to_openvino(onnx: Path, path: Path) -> None:
    """Convert an ONNX file to an OpenVINO model: an `.xml` file, and a `.bin` file beside it.

    Raises:
        UsageError: OpenVINO is not installed.
        ExportError: OpenVINO does not support the graph.
    """
    openvino = import_extra("openvino", "openvino")
    with explained("OpenVINO"):
        # The default is half precision.
        openvino.save_model(openvino.Core().read_model(onnx), path, compress_to_fp16=False)
