"""Figure of one separation: mixture, estimates, references, masks and embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from soloist.plots.panels import highest_level, show_levels, show_mask, show_points, show_waveform

_COLUMN_WIDTH, _ROW_HEIGHT, _DPI = 4.0, 2.2, 100


@dataclass(frozen=True)
class SeparationFigure:
    """Contents of a figure of a separation; unknown parts are empty or None.

    Attributes:
        mixture: `(channels, samples)`.
        sample_rate: Sample rate in Hz.
        estimates: Estimate of each source, `(channels, samples)`.
        references: Known references, by the names of the estimates.
        masks: Masks of sources, `(frequency, columns)` with evenly spaced rows, in [0, 1].
        mask_rate: Twice the frequency of the highest row of the masks, Hz.
        embeddings: `(points, dimensions)`.
        groups: Index of the source of each point, `(points,)`.
    """

    mixture: Tensor
    sample_rate: int
    estimates: Mapping[str, Tensor]
    references: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    mask_rate: int = 0
    embeddings: Tensor | None = None
    groups: Tensor | None = None

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.mixture.shape[-1] / self.sample_rate


def draw_separation(separation: SeparationFigure, *, dimensions: Literal[2, 3] = 2) -> Figure:
    """Draw a column of panels for the mixture and for each source.

    The rows are waveforms, spectrograms and, if known, spectrograms of the references and masks. The
    embeddings, if known, are below the mixture.

    Args:
        separation: Contents of the figure.
        dimensions: Number of principal components of the embeddings to show.
    """
    panels = _Panels(separation)
    panels.draw_waveforms()
    panels.draw_spectrograms()
    if separation.masks:
        panels.draw_masks()
    if separation.embeddings is not None and separation.groups is not None:
        panels.draw_embeddings(separation.embeddings, separation.groups, dimensions)
    return panels.figure


class _Panels:
    """Figure and its rows of panels."""

    def __init__(self, separation: SeparationFigure) -> None:
        self._separation = separation
        rows = 2 + bool(separation.references) + bool(separation.masks)
        rows = rows if separation.embeddings is None else max(3, rows)
        columns = 1 + len(separation.estimates)
        size = (_COLUMN_WIDTH * columns, _ROW_HEIGHT * rows + 0.4)
        self.figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
        self._grid = self.figure.add_gridspec(rows, columns)
        self._columns = {name: place for place, name in enumerate(separation.estimates, 1)}

    def draw_waveforms(self) -> None:
        """Draw the first row, with the same scale in all panels."""
        separation = self._separation
        peak = float(separation.mixture.abs().max()) or 1.0
        for column, (name, audio) in enumerate(
            {"mixture": separation.mixture, **separation.estimates}.items()
        ):
            axes = self._panel(0, column, name)
            show_waveform(axes, audio, separation.sample_rate)
            axes.set(ylim=(-peak, peak), ylabel="" if column else "amplitude")

    def draw_spectrograms(self) -> None:
        """Draw the second row and, if there are references, the third."""
        separation = self._separation
        rate, top = separation.sample_rate, highest_level(separation.mixture, separation.sample_rate)
        signals = {"mixture": separation.mixture, **separation.estimates}
        panels = [(self._panel(1, column), audio) for column, audio in enumerate(signals.values())]
        panels += [
            (self._panel(2, self._columns[name], f"{name}: true"), audio)
            for name, audio in separation.references.items()
        ]
        images = [show_levels(axes, audio, rate, top=top) for axes, audio in panels]
        panels[0][0].set_ylabel("frequency (Hz)")
        self.figure.colorbar(images[0], ax=[axes for axes, _ in panels], label="level (dB)")

    def draw_masks(self) -> None:
        """Draw the last row."""
        separation = self._separation
        panels = [
            (self._panel(self._grid.nrows - 1, self._columns[name], f"{name}: mask"), mask)
            for name, mask in separation.masks.items()
        ]
        images = [show_mask(axes, mask, separation.seconds, separation.mask_rate) for axes, mask in panels]
        self.figure.colorbar(images[0], ax=[axes for axes, _ in panels], label="mask")

    def draw_embeddings(self, embeddings: Tensor, groups: Tensor, dimensions: Literal[2, 3]) -> None:
        """Draw the panel below the mixture, over all remaining rows."""
        axes = self.figure.add_subplot(self._grid[2:, 0], projection="3d" if dimensions == 3 else None)
        show_points(axes, embeddings, groups, tuple(self._separation.estimates))
        axes.set_title("embeddings, principal components", fontsize="medium")

    def _panel(self, row: int, column: int, title: str = "") -> Axes:
        axes = self.figure.add_subplot(self._grid[row, column])
        axes.set_title(title, fontsize="medium")
        axes.set(xlim=(0, self._separation.seconds), xlabel="time (s)" if row == self._grid.nrows - 1 else "")
        return axes
