"""Runtimes of exported files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from soloist.inference.graphs.capture import quiet
from soloist.resources import OnnxSession, import_extra

Arrays = Sequence[NDArray[np.float32]]
Run = Callable[[Arrays], Arrays]
"""Function from inputs to outputs, both in the order of the signature."""


def open_onnx(path: Path) -> Run:
    """Open an ONNX file in ONNX Runtime.

    Raises:
        UsageError: ONNX Runtime is not installed.
    """
    return OnnxSession(path.read_bytes(), torch.get_num_threads(), "export")


def open_openvino(path: Path) -> Run:
    """Open a model of OpenVINO on the CPU, in single precision.

    Raises:
        UsageError: OpenVINO is not installed.
    """
    openvino = import_extra("openvino", "openvino")
    # OpenVINO defaults to bfloat16 on newer processors.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)

    def run(arrays: Arrays) -> Arrays:
        results = compiled(list(arrays))
        return [results[port] for port in compiled.outputs]

    return run


def open_torchscript(path: Path) -> Run:
    """Open a TorchScript file in PyTorch."""
    with quiet():
        return _as_run(torch.jit.load(str(path)))


def open_torch_export(path: Path) -> Run:
    """Open a program of `torch.export` in PyTorch."""
    with quiet():
        return _as_run(torch.export.load(path).module())


def _as_run(module: Callable[..., torch.Tensor]) -> Run:
    @torch.no_grad()
    def run(arrays: Arrays) -> Arrays:
        return [module(*(torch.from_numpy(array) for array in arrays)).numpy()]

    return run


def runtime_name(package: str) -> str:
    """Name and version of a package."""
    return f"{package} {version(package)}"
