"""Modules written down as graphs by `torch.export`, with sizes left free."""

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
from soloist.inference.graphs.recurrence import whole_recurrences
from soloist.inference.graphs.signature import FreeAxis, Port
from soloist.separators import Separator

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def optimized(separator: Separator) -> Separator:
    """A copy of a separator, on the CPU, folded and fused for inference.

    Raises:
        UsageError: It has no network.
    """
    if separator.graph is None:
        raise UsageError(f"{type(separator).__name__} has no network, so there is nothing to export")
    return copy.deepcopy(separator).cpu().optimize()


def example_mixture(separator: Separator, batch: int, length: int | None, free: Sequence[FreeAxis]) -> Tensor:
    """A mixture `(batch, channels, samples)` by which a graph of a separator is made.

    Args:
        separator: What separates.
        batch: Items, if their number is not free.
        length: Samples; None for the separator's best chunk.
        free: The axes of any size.
    """
    # An axis of one element would be taken for one that is always so.
    items = max(2, batch) if "batch" in free else batch
    samples = max(length or separator.chunk_length, separator.minimum_length)
    return 0.1 * torch.randn(items, separator.channels, samples, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def capture(module: nn.Module, inputs: Sequence[Tensor], ports: Sequence[Port]) -> ExportedProgram:
    """Write a module down by `torch.export`, recurrent layers in one piece.

    Args:
        module: A module in eval mode.
        inputs: An example of what it is given.
        ports: Its inputs, which say what sizes are free.

    Raises:
        ExportError: It cannot be written down with these sizes free.
    """
    # It takes a quarter of the time of all imports, and engines with a graph in the cache do without it.
    from torch.export import Dim

    shapes: Any = tuple(dict.fromkeys(port.free, Dim.AUTO) for port in ports)
    # All inputs of a module that takes any number of them are one argument.
    kinds = {each.kind for each in inspect.signature(module.forward).parameters.values()}
    shapes = (shapes,) if inspect.Parameter.VAR_POSITIONAL in kinds else shapes
    with quiet(), whole_recurrences(), explained("torch.export"):
        program = torch.export.export(module, tuple(inputs), dynamic_shapes=shapes)
    _check_free(program, ports)
    return program


def _check_free(program: ExportedProgram, ports: Sequence[Port]) -> None:
    """Refuse what has a fixed size where it was to be free."""
    from torch.fx.experimental.symbolic_shapes import is_concrete_int

    names = program.graph_signature.user_inputs
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    for node, port in zip(nodes, ports, strict=True):
        for index, axis in port.free.items():
            if is_concrete_int(node.meta["val"].shape[index]):
                raise ExportError(f"torch.export writes it down for one size of {axis} only")


@contextmanager
def explained(exporter: str) -> Iterator[None]:
    """Say in one line that, and why, something could not be written down.

    Raises:
        ExportError: Whatever went wrong within it, but for what a file system said.
    """
    try:
        yield
    except (SoloistError, OSError):
        raise
    except Exception as error:
        raise ExportError(f"{exporter} cannot write it down: {_root(error)}") from error


def _root(error: BaseException) -> str:
    """The first line of what an error came from in the end."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what exporters tell their developers."""
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
