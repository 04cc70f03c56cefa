"""Slices that overlap by half, added up."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor
from torch.nn import functional as F


def overlap_slices(block: Tensor) -> Tensor:
    """Add up slices that each begin half a slice after the one before.

    Of a block's magnitudes this makes a spectrogram with one axis of time; of a signal's slices the signal.

    Args:
        block: `(..., slices, coefficients)`, an even number of coefficients.

    Returns:
        `(..., (slices + 1) * coefficients / 2)`.
    """
    early, late = block.chunk(2, dim=-1)
    return rearrange(F.pad(early, (0, 0, 0, 1)) + F.pad(late, (0, 0, 1, 0)), "... s t -> ... (s t)")
