"""Engines that run a separator's network: PyTorch, and OpenVINO and ONNX Runtime as extras.

The packages of an engine are imported when it is made.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import Literal, get_args

from soloist.errors import UsageError
from soloist.inference.engines.composite_engine import CompositeEngine
from soloist.inference.engines.cuda_graphs import CudaGraphEngine
from soloist.inference.engines.engine import Engine, Estimate, batch_notes
from soloist.inference.engines.graph_engines import GraphEngine, OnnxRuntimeEngine, OpenVINOEngine
from soloist.inference.engines.precision import PRECISIONS, Precision, has_bfloat16
from soloist.inference.engines.pytorch import TorchEngine, find_device
from soloist.resources import is_gpu
from soloist.separators import CompositeSeparator, Separator

EngineName = Literal["torch", "openvino", "onnxruntime", "cudagraph"]

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
"""Names of all engines."""

_GRAPH_ENGINES: dict[str, type[GraphEngine]] = {
    "openvino": OpenVINOEngine,
    "onnxruntime": OnnxRuntimeEngine,
}


def make_engine(
    name: str,
    separator: Separator,
    device: str = "auto",
    *,
    threads: int | None = None,
    precision: str = "float32",
) -> Engine:
    """Make an engine that runs a separator on a device.

    Args:
        name: One of `ENGINES`.
        separator: The separator.
        device: "auto", "cpu", "cuda", ...; OpenVINO and ONNX Runtime are for the CPU, CUDA graphs for GPUs.
        threads: Processor threads of engines other than PyTorch; None for those of PyTorch.
        precision: Precision of the network, one of `PRECISIONS`.

    Raises:
        UsageError: The engine or the device does not exist, the engine is not installed, it cannot run the
            separator, or there is no such precision with it.
    """
    if isinstance(separator, CompositeSeparator):
        make = partial(make_engine, name, device=device, threads=threads, precision=precision)
        return CompositeEngine(separator, make, name, find_device(device), precision)
    if name == "torch":
        return TorchEngine(separator, device, precision)
    if name == CudaGraphEngine.name:
        return CudaGraphEngine(separator, device, precision)
    if name not in _GRAPH_ENGINES:
        raise UsageError(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")
    if device not in ("auto", "cpu"):
        raise UsageError(f"the engine {name} computes on the cpu, not on {device}: take --engine torch")
    return _GRAPH_ENGINES[name](separator, threads, precision)


def precisions_of(engine: str, device: str = "cpu") -> tuple[Precision, ...]:
    """Precisions that an engine has on a device of this machine."""
    if is_gpu(device):
        return PRECISIONS
    has = _GRAPH_ENGINES[engine].precisions if engine in _GRAPH_ENGINES else ("float32", "bfloat16")
    return has if has_bfloat16() else ("float32",)


def installed_engines(device: str = "cpu") -> tuple[EngineName, ...]:
    """Engines for a device whose packages are installed."""
    if is_gpu(device):
        return ("torch", "cudagraph")
    # All graphs are exported by onnxscript.
    needed = {"torch": ["torch"]} | {name: [name, "onnxscript"] for name in _GRAPH_ENGINES}
    return tuple(
        name for name in ENGINES if name in needed and all(find_spec(package) for package in needed[name])
    )


__all__ = [
    "ENGINES",
    "PRECISIONS",
    "CompositeEngine",
    "CudaGraphEngine",
    "Engine",
    "EngineName",
    "Estimate",
    "GraphEngine",
    "OnnxRuntimeEngine",
    "OpenVINOEngine",
    "Precision",
    "TorchEngine",
    "batch_notes",
    "find_device",
    "installed_engines",
    "make_engine",
    "precisions_of",
]
