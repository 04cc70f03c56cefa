"""Pictures of a few signals for TensorBoard, drawn with Matplotlib and without its global state."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from soloist.plots import show_levels, show_points, show_waveform

DPI = 100

_WIDTH, _PANEL_HEIGHT = 11.0, 2.2

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
        image = show_levels(axes, audio, sample_rate)
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
        show_waveform(axes, audio, sample_rate)
    peak = max(float(audio.abs().max()) for audio in panels.values()) or 1.0
    grid[0].set(xlim=(0, audio.shape[-1] / sample_rate), ylim=(-peak, peak))
    return figure


def draw_embeddings(embeddings: Tensor, dominant: Tensor, sources: tuple[str, ...]) -> Figure:
    """Embeddings on the plane in which they vary most, each in the colour of the source that dominates it.

    Args:
        embeddings: `(points, dimensions)`.
        dominant: Index of the loudest source at each point, `(points,)`.
        sources: Names of the sources.
    """
    figure = Figure(figsize=(6, 6), dpi=DPI, layout="constrained")
    show_points(figure.add_subplot(), embeddings, dominant, sources)
    return figure


def to_pixels(figure: Figure) -> NDArray[np.uint8]:
    """Render a figure as `(rows, columns, 3)`, red, green and blue."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _grid(panels: Panels, label: str) -> tuple[Figure, list[Axes]]:
    """Make a figure with a panel for each signal, two in a row, with common axes."""
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
