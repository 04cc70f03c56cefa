"""Whole tracks as Music-Source-Separation-Training, kuielab/sdx23 and audio-separator cut them.

Defects included: the windows of a batch are those of its first or last chunk; what no window covers is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

Estimate = Callable[[Tensor], Tensor]
"""A mixture `(batch, channels, samples)` to estimates `(batch, sources, channels, samples)`."""

_BLOCK = 4410


def demix(estimate: Estimate, track: Tensor, chunk: int, overlaps: int, batch_size: int) -> Tensor:
    """Estimates `(sources, channels, samples)` of a track `(channels, samples)`, cut as by MSST.

    Args:
        estimate: The network.
        track: The mixture.
        chunk: Samples of a chunk.
        overlaps: Chunks that cover a sample.
        batch_size: Chunks that are estimated at once, and share a window.
    """
    step, fade = chunk // overlaps, chunk // 10
    border = chunk - step
    padded = track.shape[-1] > 2 * border > 0
    mixture = pad(track[None], (border, border), mode="reflect")[0] if padded else track
    length = mixture.shape[-1]
    total, weight = 0.0, torch.zeros(length)
    starts = range(0, length, step)
    for index in range(0, len(starts), batch_size):
        batch = starts[index : index + batch_size]
        window = torch.ones(chunk)
        if batch[-1] != 0:
            window[:fade] = torch.linspace(0, 1, fade)
        if batch[-1] == 0 or batch[-1] + step < length:
            window[-fade:] = torch.linspace(1, 0, fade)
        estimates = estimate(torch.stack([_chunk(mixture, start, chunk) for start in batch]))
        for start, estimated in zip(batch, estimates, strict=True):
            count = min(chunk, length - start)
            share = pad(estimated[..., :count] * window[:count], (start, length - start - count))
            total = total + share
            weight[start : start + count] += window[:count]
    result = torch.nan_to_num(total / weight, nan=0.0)
    return result[..., border:-border] if padded else result


def _chunk(mixture: Tensor, start: int, length: int) -> Tensor:
    piece = mixture[:, start : start + length]
    missing = length - piece.shape[-1]
    if not missing:
        return piece
    mode = "reflect" if piece.shape[-1] > length // 2 else "constant"
    return pad(piece[None], (0, missing), mode=mode)[0]


def sdx23_demix(estimate: Estimate, track: Tensor, chunk: int, overlaps: int) -> Tensor:
    """Estimates `(sources, channels, samples)` of a track `(channels, samples)`, cut as by kuielab/sdx23.

    Chunks reach beyond the track into zeros, and count alike.
    """
    step, samples = chunk // overlaps, track.shape[-1]
    missing = step - (samples - chunk) % step
    mixture = pad(track, (chunk - step, missing + chunk - step))
    total = 0.0
    for start in range(0, mixture.shape[-1] - chunk + 1, step):
        estimated = estimate(mixture[None, :, start : start + chunk])[0]
        total = total + pad(estimated, (start, mixture.shape[-1] - start - chunk))
    return total[..., chunk - step : chunk - step + samples] / overlaps


def read_slices(estimates: Tensor, slices: Mapping[str, Any]) -> dict[str, Tensor]:
    """Slices of estimates `(sources, channels, samples)`, and the RMS of their blocks of 4410 samples."""
    found = {name: estimates[..., start:stop] for name, (start, stop) in slices.items()}
    whole = estimates.shape[-1] // _BLOCK * _BLOCK
    blocks = estimates[..., :whole].double().unflatten(-1, (-1, _BLOCK))
    return {**found, "rms_0.1s": blocks.square().mean(dim=-1).sqrt()}


def audio_separator_demix(estimate: Estimate, track: Tensor, chunk: int, overlaps: int) -> Tensor:
    """Estimates `(sources, channels, samples)` of a track `(channels, samples)`, cut as by audio-separator.

    The last chunk ends with the track, and samples that an estimate lacks at its end are zero.
    """
    samples, step = track.shape[-1], chunk // overlaps
    last = max(0, samples - chunk)
    total, weight = 0.0, torch.zeros(samples)
    for start in [*range(0, last, step), last]:
        piece = track[:, start : start + chunk]
        window = torch.hamming_window(chunk, periodic=False)[: piece.shape[-1]]
        estimated = estimate(piece[None])[0]
        estimated = pad(estimated, (0, piece.shape[-1] - estimated.shape[-1])) * window
        total = total + pad(estimated, (start, samples - start - piece.shape[-1]))
        weight[start : start + piece.shape[-1]] += window
    return total / weight.clamp(min=1e-10)


def with_flips(separate: Estimate) -> Estimate:
    """Average of a separation with those of the track with swapped channels and with the other polarity."""

    def run(track: Tensor) -> Tensor:
        return (separate(track) + separate(track.flip(0)).flip(1) - separate(-track)) / 3

    return run


def with_bigshifts(separate: Estimate, count: int) -> Estimate:
    """Average of the separations of a track that is rotated by parts of its length."""

    def run(track: Tensor) -> Tensor:
        shifts = [index * (track.shape[-1] // count) for index in range(count)]
        return sum(separate(track.roll(shift, -1)).roll(-shift, -1) for shift in shifts) / count

    return run
