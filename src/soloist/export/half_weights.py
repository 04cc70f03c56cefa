"""Weights of exported files in half precision: half the size, and computed in float32 by the runtimes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from soloist.files import scratch_folder
from soloist.resources import import_extra

_FEWEST = 64
"""Numbers of a tensor below which it stays in float32: constants of formulas, rather than weights."""


def halve_onnx(path: Path) -> None:
    """Store the weights of an ONNX file in float16, each with a node that converts it to float32.

    Every runtime reads such a file, and converts the weights once, as it opens it.

    Raises:
        UsageError: onnxscript, which brings `onnx` with it, is not installed.
    """
    import_extra("onnxscript", "export")
    import onnx

    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < _FEWEST:
            continue
        name = tensor.name
        with np.errstate(over="ignore"):  # The self-test refuses what is infinite.
            half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.float16"))
        cast = onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
    onnx.save(model, str(path))


def halve_openvino(path: Path) -> None:
    """Store the weights of an OpenVINO model in float16, as OpenVINO's own compression does.

    Raises:
        UsageError: OpenVINO is not installed.
    """
    openvino = import_extra("openvino", "openvino")
    with scratch_folder(path.parent) as scratch:
        # The weights of a model that is read are mapped from its file.
        model = openvino.Core().read_model(path)
        openvino.save_model(model, scratch / path.name, compress_to_fp16=True)
        del model
        for file in scratch.iterdir():
            file.replace(path.with_name(file.name))
