"""Overlap-add of slices half a slice apart."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor
from torch.nn import functional as F


def overlap_slices(block: Tensor) -> Tensor:
    """Add up slices that begin half a slice apart.

    Magnitudes of a block become a spectrogram with one time axis; slices of a signal become the signal.

    Args:
        block: `(..., slices, coefficients)`, with an even number of coefficients.

    Returns:
        `(..., (slices + 1) * coefficients / 2)`.
    """
    early, late = block.chunk(2, dim=-1)
    return rearrange(F.pad(early, (0, 0, 0, 1)) + F.pad(late, (0, 0, 1, 0)), "... s t -> ... (s t)")
