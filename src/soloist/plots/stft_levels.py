"""Levels of a short sound over time and frequency, without a plotting library."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soloist.transforms import STFT

_LOWEST = 1e-9


def stft_levels(audio: Tensor, sample_rate: int, columns: int) -> NDArray[np.float32]:
    """Measure the levels of the mean of all channels, in dB of a full-scale sinusoid.

    Args:
        audio: `(channels, samples)`.
        sample_rate: Hz.
        columns: Least number of frames, if the sound has as many samples.

    Returns:
        Levels `(bins, frames)`; the bins are equally far from each other, from 0 to half the sample rate.
    """
    n_fft = 2048 if sample_rate >= 32000 else 512
    hop = max(1, min(n_fft // 4, audio.shape[-1] // columns))
    magnitudes = STFT(n_fft, hop, scaled=True)(audio.mean(dim=0)[None, None])[0, 0].abs()
    return (20 * torch.log10(2 * magnitudes + _LOWEST)).numpy()
