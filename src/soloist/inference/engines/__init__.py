"""Engines: what runs a separator's network. PyTorch is always there; others are extras.

What an engine needs is imported when one is made.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal, get_args

from soloist.errors import UsageError
from soloist.inference.engines.engine import Engine, Estimate
from soloist.inference.engines.graph_engines import GraphEngine, OnnxRuntimeEngine, OpenVINOEngine
from soloist.inference.engines.pytorch import TorchEngine, find_device
from soloist.separators import Separator

EngineName = Literal["torch", "openvino", "onnxruntime"]

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
"""The names of all engines."""

_GRAPH_ENGINES: dict[str, type[GraphEngine]] = {
    "openvino": OpenVINOEngine,
    "onnxruntime": OnnxRuntimeEngine,
}


def make_engine(
    name: str, separator: Separator, device: str = "auto", *, threads: int | None = None
) -> Engine:
    """The engine of a name, which runs a separator on a device.

    Args:
        name: One of `ENGINES`.
        separator: What separates.
        device: "auto", "cpu", "cuda", ...; all engines but PyTorch compute on the CPU.
        threads: Processor threads; None for as many as PyTorch uses, which does not take others here.

    Raises:
        UsageError: There is no such engine or device, or the engine is not installed or cannot run the
            separator.
    """
    if name == "torch":
        return TorchEngine(separator, device)
    if name not in _GRAPH_ENGINES:
        raise UsageError(f"there is no engine {name!r}; there are {', '.join(ENGINES)}")
    if device not in ("auto", "cpu"):
        raise UsageError(f"the engine {name} computes on the cpu, not on {device}: take --engine torch")
    return _GRAPH_ENGINES[name](separator, threads)


def installed_engines() -> tuple[EngineName, ...]:
    """The engines that can be made here."""
    # Graphs are exported by onnxscript, whatever runs them.
    needed = {"torch": ["torch"]} | {name: [name, "onnxscript"] for name in _GRAPH_ENGINES}
    return tuple(name for name in ENGINES if all(find_spec(package) for package in needed[name]))


__all__ = [
    "ENGINES",
    "Engine",
    "EngineName",
    "Estimate",
    "GraphEngine",
    "OnnxRuntimeEngine",
    "OpenVINOEngine",
    "TorchEngine",
    "find_device",
    "installed_engines",
    "make_engine",
]
