"""Ratios as metrics of torchmetrics: batches, silence, several processes' states."""

from __future__ import annotations

import pytest
import torch
from torchmetrics import MetricCollection

from soloist.errors import UsageError
from soloist.metrics import RunningRatio, sdr, si_sdr

REFERENCES = torch.randn(6, 3, 2, 500, generator=torch.Generator().manual_seed(0))
ESTIMATES = 0.8 * REFERENCES + 0.2 * torch.randn(6, 3, 2, 500, generator=torch.Generator().manual_seed(1))


def test_batches_of_any_size_give_the_mean_of_all():
    metrics = MetricCollection({"sdr": RunningRatio("sdr"), "si_sdr": RunningRatio()})
    for part in (slice(0, 1), slice(1, 6)):
        metrics.update(ESTIMATES[part], REFERENCES[part])
    found = metrics.compute()
    torch.testing.assert_close(found["sdr"].float(), sdr(REFERENCES, ESTIMATES).mean())
    torch.testing.assert_close(found["si_sdr"].float(), si_sdr(REFERENCES, ESTIMATES).mean())
    metrics.reset()
    assert metrics.compute()["sdr"].isnan()


def test_silent_references_are_left_out():
    references = REFERENCES.clone()
    references[2:] = 0
    metric = RunningRatio(si_sdr)
    metric.update(ESTIMATES, references)
    torch.testing.assert_close(metric.compute().float(), si_sdr(REFERENCES[:2], ESTIMATES[:2]).mean())


def test_what_is_wrong_is_named():
    with pytest.raises(UsageError, match="there is no ratio 'si-sdr'; there are sdr, si_sdr, sd_sdr"):
        RunningRatio("si-sdr")
    with pytest.raises(UsageError, match="of one shape"):
        RunningRatio().update(ESTIMATES[0], REFERENCES[0, 0])
