"""Pictures of signals and embeddings, drawn with Matplotlib and without its global state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from soloist.transforms.stft import STFT

FLOOR_DB = -80.0
DPI = 100

_WIDTH, _PANEL_HEIGHT = 11.0, 2.2
_POINTS = 500
_LOWEST = 1e-9
_SPECTROGRAM: dict[str, Any] = {
    "origin": "lower",
    "aspect": "auto",
    "vmin": FLOOR_DB,
    "vmax": 0.0,
    "cmap": "magma",
}

Panels = Mapping[str, Tensor]
"""An even number of signals `(channels, samples)` of the same length, by their titles."""


def draw_spectrograms(panels: Panels, sample_rate: int) -> Figure:
    """Levels of the mean of all channels, in dB of a full-scale sinusoid.

    Args:
        panels: Signals by their titles.
        sample_rate: Hz.
    """
    figure, grid = _grid(panels, "frequency (Hz)")
    for axes, audio in zip(grid, panels.values(), strict=True):
        extent = (0.0, audio.shape[-1] / sample_rate, 0.0, sample_rate / 2)
        image = axes.imshow(_levels(audio, sample_rate), extent=extent, **_SPECTROGRAM)
    figure.colorbar(image, ax=grid, label="level (dB)")
    return figure


def draw_waveforms(panels: Panels, sample_rate: int) -> Figure:
    """Least and greatest sample of all channels at each time; all panels have the same scale.

    Args:
        panels: Signals by their titles.
        sample_rate: Hz.
    """
    figure, grid = _grid(panels, "amplitude")
    for axes, audio in zip(grid, panels.values(), strict=True):
        samples = audio.shape[-1]
        starts = np.unique(np.linspace(0, samples - 1, min(samples, _POINTS)).astype(int))
        low = np.minimum.reduceat(audio.numpy().min(axis=0), starts)
        high = np.maximum.reduceat(audio.numpy().max(axis=0), starts)
        axes.fill_between(starts / sample_rate, low, high, color="tab:blue", linewidth=0.5)
    peak = max(float(audio.abs().max()) for audio in panels.values()) or 1.0
    grid[0].set(xlim=(0, samples / sample_rate), ylim=(-peak, peak))
    return figure


def draw_embeddings(embeddings: Tensor, dominant: Tensor, sources: tuple[str, ...]) -> Figure:
    """Embeddings on the plane in which they vary most, each in the colour of the source that dominates it.

    Args:
        embeddings: `(points, dimensions)`.
        dominant: Index of the loudest source at each point, `(points,)`.
        sources: Names of the sources.
    """
    plane = project(embeddings)
    figure = Figure(figsize=(6, 6), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    for index, name in enumerate(sources):
        x, y = plane[dominant == index].T.numpy()
        axes.scatter(x, y, s=3, alpha=0.5, linewidths=0, label=name)
    axes.set(xlabel="first principal component", ylabel="second principal component")
    axes.legend(markerscale=4)
    return figure


def project(embeddings: Tensor) -> Tensor:
    """The first two principal components of `(points, dimensions)`; `(points, 2)`."""
    centred = embeddings.double() - embeddings.double().mean(dim=0)
    # Exact, and without the random numbers of torch.pca_lowrank, which would be taken from the training.
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    return centred @ vectors[:, -2:].flip(1)


def to_pixels(figure: Figure) -> NDArray[np.uint8]:
    """A figure as `(rows, columns, 3)`, red, green and blue."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _grid(panels: Panels, label: str) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each signal, two in a row, and the same axes for all."""
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(_WIDTH, _PANEL_HEIGHT * rows + 0.4), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    for axes, title in zip(grid.flat, panels, strict=True):
        axes.set_title(title, fontsize="medium")
    for axes in grid[-1]:
        axes.set_xlabel("time (s)")
    for axes in grid[:, 0]:
        axes.set_ylabel(label)
    return figure, list(grid.flat)


def _levels(audio: Tensor, sample_rate: int) -> NDArray[np.float32]:
    n_fft = 2048 if sample_rate >= 32000 else 512
    hop = max(1, min(n_fft // 4, audio.shape[-1] // _POINTS))
    magnitudes = STFT(n_fft, hop, scaled=True)(audio.mean(dim=0)[None, None])[0, 0].abs()
    return (20 * torch.log10(2 * magnitudes + _LOWEST)).numpy()
