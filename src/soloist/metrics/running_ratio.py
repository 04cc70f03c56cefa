"""Ratios as metrics of torchmetrics, which gather batches and processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from soloist.errors import UsageError
from soloist.metrics import ratios
from soloist.resources import import_extra

_Metric: Any = import_extra("torchmetrics", "torchmetrics").Metric

_RATIOS: dict[str, ratios.Ratio] = {
    "sdr": ratios.sdr,
    "si_sdr": ratios.si_sdr,
    "sd_sdr": ratios.sd_sdr,
}


class RunningRatio(_Metric):
    """Mean of a ratio over all estimates of all batches and processes, in dB.

    For torchmetrics and its collections; needs `pip install 'soloist[torchmetrics]'`. What has no ratio, such
    as the estimate of a silent reference, is left out.

    Args:
        ratio: "sdr", "si_sdr" or "sd_sdr"; or a function of references and estimates.
        **options: Options of `torchmetrics.Metric`.

    Raises:
        UsageError: There is no such ratio, or torchmetrics is not installed.

    Example:
        >>> from soloist.metrics import RunningRatio
        >>> metric = RunningRatio("sdr")
        >>> metric.update(torch.full((4, 2, 100), 0.9), torch.ones(4, 2, 100))
        >>> round(metric.compute().item(), 3)
        20.0
    """

    is_differentiable = True
    higher_is_better = True
    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(self, ratio: str | Callable[[Tensor, Tensor], Tensor] = "si_sdr", **options: object) -> None:
        super().__init__(**options)
        if isinstance(ratio, str) and ratio not in _RATIOS:
            raise UsageError(f"there is no ratio {ratio!r}; there are {', '.join(_RATIOS)}")
        self.ratio = _RATIOS[ratio] if isinstance(ratio, str) else ratio
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            preds: Estimates `(..., channels, samples)`.
            target: References of the same shape.

        Raises:
            UsageError: The shapes differ.
        """
        if preds.shape != target.shape or preds.ndim < 2:
            raise UsageError(
                f"estimates {tuple(preds.shape)} and references {tuple(target.shape)} must be "
                "(..., channels, samples), of one shape"
            )
        found = self.ratio(target, preds)
        known = ~found.isnan()
        self.total = self.total + found[known].double().sum()
        self.count = self.count + known.sum()

    def compute(self) -> Tensor:
        """Mean of the ratios, a scalar in dB; NaN before the first one."""
        return self.total / self.count
