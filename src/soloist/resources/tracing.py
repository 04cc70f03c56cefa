"""Whether PyTorch computes, or writes down a graph for other programs."""

from __future__ import annotations

import torch


def is_captured() -> bool:
    """Whether code runs to be written down as a graph: by `torch.export`, `torch.compile` or a trace.

    What makes PyTorch itself faster, and what holds for one size only, has no place in such a graph.
    """
    return torch.compiler.is_compiling() or torch.jit.is_tracing()
