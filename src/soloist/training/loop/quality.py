"""Quality of estimates in validation and tests: energy ratios in dB, and their improvement."""

from __future__ import annotations

import torch
from torch import Tensor

from soloist.metrics import Ratio, permuted, sdr, si_sdr

RATIOS: dict[str, Ratio] = {"si_sdr": si_sdr, "sdr": sdr}

QUALITY = tuple(name + ending for name in RATIOS for ending in ("", "i"))
"""Names of the figures: each ratio, and its improvement over the mixture."""


def measure_quality(
    references: Tensor, estimates: Tensor, mixture: Tensor, *, ordered: bool
) -> dict[str, Tensor]:
    """Measure the ratios of each source, and their improvements over the mixture.

    Args:
        references: `(batch, sources, channels, samples)`.
        estimates: Same shape.
        mixture: `(batch, channels, samples)`.
        ordered: True for ordered sources; otherwise the best order counts.

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
