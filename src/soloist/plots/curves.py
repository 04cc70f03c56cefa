"""How trainings went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, str]]
"""The rows of a `metrics.csv`: texts, by the names of figures."""

_LOSSES = ("train/loss", "valid/loss")
_WIDTH, _HEIGHT, _DPI = 3.4, 5.0, 100


def draw_curves(runs: Mapping[str, tuple[Rows, str]]) -> Figure:
    """Draw a column for each training: its losses, and below them the figure that was monitored.

    Args:
        runs: The logged rows and the name of that figure, by title.
    """
    count = max(1, len(runs))
    figure = Figure(figsize=(_WIDTH * count, _HEIGHT), dpi=_DPI, layout="constrained")
    grid = figure.subplots(2, count, sharex="col", squeeze=False)
    for column, (title, (rows, monitor)) in zip(grid.T, runs.items(), strict=False):
        for axes, names in zip(column, (_LOSSES, (monitor,)), strict=True):
            _show(axes, rows, names)
        column[0].set_title(title, fontsize="medium")
        column[-1].set_xlabel("step")
    return figure


def _show(axes: Axes, rows: Rows, names: Sequence[str]) -> None:
    for name in names:
        points = [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
        steps, values = zip(*points, strict=True) if points else ((), ())
        axes.plot(steps, values, label=name, marker="." if name.startswith("valid") else None)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
