"""Capture of graphs by PyTorch."""

from __future__ import annotations

import torch


def is_captured() -> bool:
    """Return True while `torch.export`, `torch.compile` or a trace captures a graph of the running code.

    Code that makes only PyTorch faster, or that holds for one size only, stays out of such a graph.
    """
    return torch.compiler.is_compiling() or torch.jit.is_tracing()
