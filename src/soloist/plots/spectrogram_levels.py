"""Levels of a recording over time and frequency, as any transform sees them, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from soloist.audio import Audio, cut_blocks
from soloist.transforms import Transform

PIECE_SECONDS = 10.0
COLUMNS = 1200
FINEST = 8  # samples of a column


@dataclass(frozen=True)
class Spectrogram:
    """Power over time and frequency.

    Attributes:
        power: `(bins, columns)`, the mean of all channels; 1 is the power of a full-scale sinusoid.
        frequencies: Centre of each bin, Hz, from 0 to half the sample rate.
        seconds: Duration of the sound.
        column_seconds: Duration of a column; the last one may reach beyond the sound.
    """

    power: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    seconds: float
    column_seconds: float


@torch.inference_mode()
def measure_spectrogram(
    transform: Transform, blocks: Iterable[Audio], sample_rate: int, seconds: float
) -> Spectrogram:
    """Analyse a recording piece by piece.

    Args:
        transform: What it is analysed with.
        blocks: The recording, consecutive pieces `(channels, samples)`.
        sample_rate: Hz.
        seconds: About how long it is, which makes about `COLUMNS` columns; what is finer than these is
            averaged, what is coarser repeated.
    """
    hop = transform.hop_length
    context = -(-transform.reach // hop) * hop
    wanted = max(1, seconds * sample_rate)
    length = max(context, -(-round(min(wanted, PIECE_SECONDS * sample_rate)) // hop) * hop)
    columns = max(1, min(round(COLUMNS * length / wanted), length // FINEST))
    samples, parts = 0, []
    for piece, start, core in _pieces(cut_blocks(blocks, length), context):
        samples += core
        hops = slice(start // hop, -(-(start + core) // hop))
        parts.append(_columns(transform, piece, hops, length // hop, columns))
    seconds, column_seconds = samples / sample_rate, length / columns / sample_rate
    power = np.concatenate(parts, axis=1)[:, : int(np.ceil(seconds / column_seconds))]
    return Spectrogram(power, transform.bin_frequencies(sample_rate), seconds, column_seconds)


def _pieces(blocks: Iterator[Audio], context: int) -> Iterator[tuple[Audio, int, int]]:
    """Each block with up to `context` samples of its neighbours, where it begins in that, and its length."""
    before, current = None, next(blocks)
    nothing = current[:, :0]
    for after in chain(blocks, [None]):
        left = nothing if before is None else before[:, -context:]
        right = nothing if after is None else after[:, :context]
        yield np.concatenate([left, current, right], axis=1), left.shape[1], current.shape[1]
        if after is not None:
            before, current = current, after


def _columns(transform: Transform, piece: Audio, core: slice, hops: int, columns: int) -> NDArray[np.float64]:
    """The power `(bins, columns)` of the hops `core` of a piece, silence after them to make `hops`."""
    audio = torch.from_numpy(piece)[None]
    coefficients = transform(audio)
    there = -(-audio.shape[-1] // transform.hop_length)
    rows: list[Tensor] = []
    for amplitudes in transform.spectrogram(coefficients, audio.shape[-1]):
        power = amplitudes[0].square().mean(dim=0)
        rate = power.shape[-1] // there
        power = power[:, core.start * rate : core.stop * rate]
        power = F.pad(power, (0, hops * rate - power.shape[-1]))
        rows.append(F.adaptive_avg_pool1d(power[None], columns)[0])
    return torch.cat(rows).double().numpy()
