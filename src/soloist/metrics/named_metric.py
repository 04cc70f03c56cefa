"""Metrics by name, such as those of `--metrics`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from soloist.audio import resample_audio
from soloist.errors import UsageError
from soloist.metrics.aggregation import summarize
from soloist.metrics.metric import Metric
from soloist.metrics.perceptual import pesq, stoi
from soloist.metrics.ratios import chunked_sdr, improvement, sd_sdr, sdr, si_sdr
from soloist.resources import import_extra

_Measure = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""Function of references, estimates, mixture and sample rate; gives `(batch, sources)`."""

_WIDE_BAND, _NARROW_BAND = 16000, 8000


def _median_of_seconds(references: Tensor, estimates: Tensor, _: Tensor, sample_rate: int) -> Tensor:
    """Median of the SDR of seconds; of the whole, if it is shorter."""
    ratios = chunked_sdr(references, estimates, chunk_length=min(sample_rate, references.shape[-1]))
    return torch.from_numpy(np.apply_along_axis(summarize, -1, ratios.numpy()))


def _speech_quality(references: Tensor, estimates: Tensor, _: Tensor, sample_rate: int) -> Tensor:
    """PESQ of each channel, averaged: narrow band at 8 kHz, else wide band, resampled to 16 kHz."""
    rate = _NARROW_BAND if sample_rate == _NARROW_BAND else _WIDE_BAND
    pair = (_resampled(signals, sample_rate, rate) for signals in (references, estimates))
    return pesq(*pair, sample_rate=rate).mean(dim=-1)


def _intelligibility(
    references: Tensor, estimates: Tensor, _: Tensor, sample_rate: int, *, extended: bool = False
) -> Tensor:
    """STOI or ESTOI of each channel, averaged."""
    return stoi(references, estimates, sample_rate=sample_rate, extended=extended).mean(dim=-1)


_MEASURES: dict[str, tuple[str, _Measure]] = {
    "si-sdri": ("SI-SDRi", lambda r, e, m, _: improvement(si_sdr, r, e, m)),
    "usdri": ("uSDRi", lambda r, e, m, _: improvement(sdr, r, e, m)),
    "sd-sdr": ("SD-SDR", lambda r, e, m, _: sd_sdr(r, e)),
    "csdr": ("cSDR", _median_of_seconds),
    "pesq": ("PESQ", _speech_quality),
    "stoi": ("STOI", _intelligibility),
    "estoi": ("ESTOI", partial(_intelligibility, extended=True)),
}

_PACKAGES = {"pesq": "pesq", "stoi": "pystoi", "estoi": "pystoi"}

METRIC_NAMES = tuple(_MEASURES)
"""Names of `NamedMetric`."""


class NamedMetric(Metric):
    """Metric of signals by its name.

    | name | what |
    |---|---|
    | `si-sdri`, `usdri` | improvement of SI-SDR and of the whole track's SDR over the mixture, dB |
    | `sd-sdr` | scale-dependent SDR, dB |
    | `csdr` | median of the SDR of seconds, dB, of the Music Demixing Challenge |
    | `pesq` | PESQ, from about 1 to 4.6: narrow band at 8 kHz, else wide band at 16 kHz |
    | `stoi`, `estoi` | intelligibility of speech, at most 1 |

    PESQ and STOI are of one channel: of several, the mean.

    Args:
        name: One of `METRIC_NAMES`, in any case.
        sample_rate: Rate of the signals, Hz.

    Raises:
        UsageError: There is no such metric, or a package for it is missing.
    """

    def __init__(self, name: str, sample_rate: int) -> None:
        if name.lower() not in _MEASURES:
            raise UsageError(f"there is no metric {name!r}; there are {', '.join(_MEASURES)}")
        if package := _PACKAGES.get(name.lower()):
            import_extra(package, "metrics")
        self.label, self._measure = _MEASURES[name.lower()]
        self._sample_rate = sample_rate

    def __call__(self, references: Tensor, estimates: Tensor, mixture: Tensor) -> Tensor:
        """Measure a batch; see `Metric`."""
        return self._measure(references, estimates, mixture, self._sample_rate)


def _resampled(signals: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """Resample `(batch, sources, channels, samples)`."""
    if source_rate == target_rate:
        return signals
    rows = rearrange(signals, "b s c t -> (b s c) t").numpy()
    resampled = torch.from_numpy(resample_audio(rows, source_rate, target_rate))
    return rearrange(resampled, "(b s c) t -> b s c t", b=signals.shape[0], s=signals.shape[1])
