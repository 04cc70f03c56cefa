"""How good estimates are while a training goes on: energy ratios in dB, and their improvement."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.metrics import Ratio, permuted, sdr, si_sdr

RATIOS: dict[str, Ratio] = {"si_sdr": si_sdr, "sdr": sdr}

QUALITY = tuple(name + ending for name in RATIOS for ending in ("", "i"))
"""The figures: each ratio, and by how much it is better than that of the mixture."""


def measure_quality(
    references: Tensor, estimates: Tensor, mixture: Tensor, *, ordered: bool
) -> dict[str, Tensor]:
    """Ratios of each source, and by how much they are better than those of the mixture.

    Args:
        references: `(batch, sources, channels, samples)`.
        estimates: Of the same shape.
        mixture: `(batch, channels, samples)`.
        ordered: Whether the order of the estimates means something; if not, the best one counts.

    Returns:
        `(batch, sources)` for each of `QUALITY`, in dB; NaN where a reference is silent. There is no
        improvement, NaN too, where the mixture is the reference already, because all others are silent.
    """
    measured = {}
    unprocessed = mixture[:, None].expand_as(references)
    silent = references.eq(0).all(dim=-1).all(dim=-1)
    for name, ratio in RATIOS.items():
        scores = ratio(references, estimates) if ordered else permuted(ratio, references, estimates)[0]
        measured[name] = scores = scores.masked_fill(silent, torch.nan)
        baseline = ratio(references, unprocessed)
        measured[f"{name}i"] = (scores - baseline).masked_fill(baseline.isinf(), torch.nan)
    return measured
