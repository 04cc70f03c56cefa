"""Distances of waveforms."""

from __future__ import annotations

from soloist.losses.distances import DistanceLoss


class WaveformLoss(DistanceLoss):
    """Mean distance of the samples of each estimate from those of its reference.

    A silent reference asks for a silent estimate.

    Args:
        distance: Mean absolute difference, mean squared difference, or the root of that.
        eps: Added below the root, which keeps its slope finite where there is no difference.
    """
