"""Spectrograms of a recording by any transform, in bounded memory, and figures of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from soloist.audio import Audio, cut_blocks
from soloist.errors import UsageError
from soloist.files import Staging
from soloist.transforms import Transform

Axis = Literal["log", "scale"]
"""Frequency axis: logarithmic, or with the bins of each transform at equal heights."""

FORMATS = ("png", "pdf", "svg")
RANGE_DB = 80.0
ROWS = 400
PIECE_SECONDS = 10.0
COLUMNS = 1200
FINEST = 8  # Fewest samples of a column.

_TIMELESS: dict[str, dict[str, None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
_LOWEST = 20.0  # Hz
_QUIETEST = -100.0  # Lowest top of the scale of levels, dB.
_TICKS = [digit * 10.0**decade for decade in range(1, 6) for digit in (1, 2, 5)]
_TICK_DISTANCE = 0.045  # Fraction of a panel's height.
_WIDTH, _PANEL_HEIGHT, _DPI = 11.0, 3.2, 120


@dataclass(frozen=True)
class Spectrogram:
    """Power over time and frequency.

    Attributes:
        power: `(bins, columns)`, mean of all channels, relative to a full-scale sinusoid.
        frequencies: Centre of each bin, Hz, from 0 to half the sample rate.
        seconds: Duration of the sound.
        column_seconds: Duration of a column; the last one may extend beyond the sound.
    """

    power: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    seconds: float
    column_seconds: float


@torch.inference_mode()
def measure_spectrogram(
    transform: Transform, blocks: Iterable[Audio], sample_rate: int, seconds: float
) -> Spectrogram:
    """Compute the spectrogram of a recording piece by piece.

    Args:
        transform: Transform of the spectrogram.
        blocks: Consecutive blocks `(channels, samples)` of the recording.
        sample_rate: Sample rate in Hz.
        seconds: Approximate duration, which gives about `COLUMNS` columns; finer frames are averaged, coarser
            ones repeated.
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


def draw_spectrograms(panels: Mapping[str, Spectrogram], *, axis: Axis = "log", start: float = 0.0) -> Figure:
    """Draw spectrograms of the same sound below each other, with one scale of levels.

    Args:
        panels: Spectrograms by title.
        axis: Frequency axis.
        start: Time of the first column, seconds.
    """
    figure = Figure(figsize=(_WIDTH, _PANEL_HEIGHT * len(panels) + 0.5), dpi=_DPI, layout="constrained")
    grid: list[Axes] = list(figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0])
    highest = min(panel.frequencies[-1] for panel in panels.values())
    lowest = min(highest / 2, max(_LOWEST, min(panel.frequencies[1] for panel in panels.values())))
    loudest = max(float(_decibels(panel.power).max()) for panel in panels.values())
    top = max(_QUIETEST, 5 * np.ceil(loudest / 5))
    for axes, (title, panel) in zip(grid, panels.items(), strict=True):
        power, place = _log_rows(panel, lowest) if axis == "log" else _own_rows(panel)
        extent = (start, start + power.shape[1] * panel.column_seconds, 0.0, 1.0)
        options: dict[str, Any] = {"vmin": top - RANGE_DB, "vmax": top, "cmap": "magma", "extent": extent}
        image = axes.imshow(
            _decibels(power), origin="lower", aspect="auto", interpolation="nearest", **options
        )
        axes.set_title(title, fontsize="medium")
        axes.set(ylabel="frequency (Hz)", xlim=(start, start + panel.seconds))
        _set_ticks(axes, place, lowest if axis == "log" else 0.0, panel.frequencies[-1])
    grid[-1].set_xlabel("time (s)")
    figure.colorbar(image, ax=grid, label="level (dB of a full-scale sinusoid)")
    return figure


def picture_format(path: Path) -> str:
    """Format of a picture by its suffix.

    Raises:
        UsageError: The format is none of `FORMATS`.
    """
    suffix = path.suffix.lstrip(".").lower()
    if suffix not in FORMATS:
        raise UsageError(f"pictures are written as {', '.join(FORMATS)}: give {path.with_suffix('.png')}")
    return suffix


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically in the format of the path's suffix; equal figures give equal files.

    Raises:
        UsageError: There is no such format.
        OSError: The file cannot be written.
    """
    kind, staging = picture_format(path), Staging()
    try:
        with rc_context({"svg.hashsalt": "soloist"}):
            figure.savefig(staging.target(path), format=kind, metadata=_TIMELESS[kind])
        staging.promote()
    finally:
        staging.discard()


def _own_rows(
    panel: Spectrogram,
) -> tuple[NDArray[np.float64], Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """Keep one row per bin; also return the map from frequency to height (0 to 1)."""
    bins = len(panel.frequencies)
    heights = (np.arange(bins) + 0.5) / bins
    return panel.power, lambda hertz: np.interp(hertz, panel.frequencies, heights)


def _log_rows(
    panel: Spectrogram, lowest: float
) -> tuple[NDArray[np.float64], Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """Average bins to logarithmic rows; also return the map from frequency to height (0 to 1)."""
    middles = (panel.frequencies[1:] + panel.frequencies[:-1]) / 2
    highest = panel.frequencies[-1]
    rows = np.geomspace(lowest, highest, ROWS + 1)
    first = np.searchsorted(middles, rows[:-1], side="right")
    stop = np.maximum(np.searchsorted(middles, rows[1:], side="left") + 1, first + 1)
    sums = np.concatenate([np.zeros((1, panel.power.shape[1])), np.cumsum(panel.power, axis=0)])
    power = (sums[stop] - sums[first]) / (stop - first)[:, None]
    return power, lambda hertz: np.log(hertz / lowest) / np.log(highest / lowest)


def _set_ticks(
    axes: Axes, place: Callable[[NDArray[np.float64]], NDArray[np.float64]], lowest: float, highest: float
) -> None:
    """Label round frequencies, from the top down, without overlap of the labels."""
    hertz = np.array([tick for tick in _TICKS if lowest <= tick <= highest])
    kept: list[int] = []
    heights = place(hertz)
    for index in reversed(range(len(hertz))):
        if not kept or heights[kept[-1]] - heights[index] >= _TICK_DISTANCE:
            kept.append(index)
    axes.set_yticks(heights[kept], [f"{tick:.0f}" for tick in hertz[kept]])


def _decibels(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(10 * np.log10(power + 1e-20))


def _pieces(blocks: Iterator[Audio], context: int) -> Iterator[tuple[Audio, int, int]]:
    """Join each block with up to `context` samples of its neighbours: the piece, its start and its length."""
    before, current = None, next(blocks)
    nothing = current[:, :0]
    for after in chain(blocks, [None]):
        left = nothing if before is None else before[:, -context:]
        right = nothing if after is None else after[:, :context]
        yield np.concatenate([left, current, right], axis=1), left.shape[1], current.shape[1]
        if after is not None:
            before, current = current, after


def _columns(transform: Transform, piece: Audio, core: slice, hops: int, columns: int) -> NDArray[np.float64]:
    """Power `(bins, columns)` of the hops `core` of a piece, padded with silence to `hops` hops."""
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
