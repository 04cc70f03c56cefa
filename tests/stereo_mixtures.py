"""Stereo mixtures of synthetic talkers at known places."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from soloist.datasets import synthesize_talker
from soloist.metrics import si_sdr

RATE = 16_000


@cache
def talker(number: int, seconds: float = 5.0) -> np.ndarray:
    """One voice `(samples,)`, all equally loud."""
    voice = synthesize_talker(seconds, talker=number, utterance=3, sample_rate=RATE)[0].astype(np.float64)
    return 0.05 * voice / voice.std()


def at(voice: np.ndarray, level: float, delay: float) -> Tensor:
    """A voice `(2, samples)` whose second channel is so many dB louder and so many samples later."""
    spectrum = np.fft.rfft(voice, 2 * len(voice))
    turn = np.exp(-1j * np.pi * np.linspace(0, 1, len(spectrum)) * delay)
    gain = 10 ** (level / 20)
    second = gain * np.fft.irfft(spectrum * turn)[: len(voice)]
    return torch.from_numpy(np.stack([voice, second]) / np.hypot(1, gain)).float()


def talkers_at(*places: tuple[float, float], first: int = 0, seconds: float = 5.0) -> Tensor:
    """Talkers `(1, sources, 2, samples)` at places given by level (dB) and delay (samples)."""
    voices = [at(talker(first + index, seconds), level, delay) for index, (level, delay) in enumerate(places)]
    return torch.stack(voices)[None]


def improvements(references: Tensor, estimates: Tensor) -> list[float]:
    """SI-SDR improvement of each reference, dB, in the order of the estimates that is best."""
    mixture = references.sum(dim=1)
    sources = range(references.shape[1])
    table = [
        [
            float(si_sdr(references[:, i], estimate)) - float(si_sdr(references[:, i], mixture))
            for i in sources
        ]
        for estimate in estimates.unbind(1)
    ]
    orders = ([table[j][i] for i, j in enumerate(order)] for order in permutations(sources))
    return max(orders, key=sum)
