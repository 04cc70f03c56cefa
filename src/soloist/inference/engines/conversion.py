"""A separator's graph as ONNX."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from soloist.lazy import import_extra


@torch.no_grad()
def write_onnx(graph: nn.Module, inputs: Sequence[Tensor], path: Path) -> None:
    """Write a graph for inputs of these shapes into a file.

    Raises:
        UsageError: What exports graphs is not installed.
    """
    import_extra("onnxscript", "onnx")
    with _quiet():
        program = torch.export.export(graph, tuple(inputs))
        exported = torch.onnx.export(program, dynamo=True, verbose=False)
    assert exported is not None
    exported.save(str(path), external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing that the exporter tells its developers is for users."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
