"""Graphs of modules by `torch.export`, with free sizes."""

from __future__ import annotations

import copy
import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from soloist.errors import ExportError, SoloistError, UsageError
from soloist.inference.graphs.signature import FreeAxis, Port
from soloist.inference.graphs.whole_recurrences import whole_recurrences
from soloist.separators import Separator

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def optimized(separator: Separator) -> Separator:
    """A copy of a separator, on the CPU, folded and fused for inference.

    Raises:
        UsageError: The separator has no network.
    """
    if separator.graph is None:
        raise UsageError(f"{type(separator).__name__} has no network, so there is nothing to export")
    return copy.deepcopy(separator).cpu().optimize()


def example_mixture(separator: Separator, batch: int, length: int | None, free: Sequence[FreeAxis]) -> Tensor:
    """Example mixture `(batch, channels, samples)` for the export of a separator's graph.

    Args:
        separator: The separator.
        batch: Number of items, if it is not free.
        length: Samples; None for the separator's best chunk.
        free: Axes of any size.
    """
    # The exporter takes an axis of one element for a fixed one.
    items = max(2, batch) if "batch" in free else batch
    samples = max(length or separator.chunk_length, separator.minimum_length)
    return 0.1 * torch.randn(items, separator.channels, samples, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def capture(module: nn.Module, inputs: Sequence[Tensor], ports: Sequence[Port]) -> ExportedProgram:
    """Export a module by `torch.export`, recurrent layers in one piece.

    Args:
        module: The module, in eval mode.
        inputs: Example inputs.
        ports: Inputs of the module, with their free sizes.

    Raises:
        ExportError: The module cannot be exported with these sizes free.
    """
    # A quarter of the time of all imports, and not needed by engines with a cached graph.
    from torch.export import Dim

    shapes: Any = tuple(dict.fromkeys(port.free, Dim.AUTO) for port in ports)
    # The inputs of a module with *args are one argument.
    kinds = {each.kind for each in inspect.signature(module.forward).parameters.values()}
    shapes = (shapes,) if inspect.Parameter.VAR_POSITIONAL in kinds else shapes
    shapes = shapes if any(port.free for port in ports) else None
    with quiet(), whole_recurrences(), explained("torch.export"):
        program = torch.export.export(module, tuple(inputs), dynamic_shapes=shapes)
    _check_free(program, ports)
    return program


def _check_free(program: ExportedProgram, ports: Sequence[Port]) -> None:
    """Refuse a graph with a fixed size on a free axis."""
    from torch.fx.experimental.symbolic_shapes import is_concrete_int

    names = program.graph_signature.user_inputs
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    for node, port in zip(nodes, ports, strict=True):
        for index, axis in port.free.items():
            if is_concrete_int(node.meta["val"].shape[index]):
                raise ExportError(f"torch.export supports one size of {axis} only")


@contextmanager
def explained(exporter: str) -> Iterator[None]:
    """Turn the errors of an exporter into an ExportError of one line.

    Raises:
        ExportError: Any error within the block, except SoloistError and OSError.
    """
    try:
        yield
    except (SoloistError, OSError):
        raise
    except Exception as error:
        raise ExportError(f"{exporter} cannot export it: {_root(error)}") from error


def _root(error: BaseException) -> str:
    """First line of the first cause of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and logs of exporters."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
