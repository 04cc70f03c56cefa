"""Charts of trainings and models: curves of losses, and quality against cost.

E. Tzinis, Z. Wang, X. Jiang and P. Smaragdis, "Compute and memory efficient universal sound source
separation", Journal of Signal Processing Systems 94, 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullFormatter

Rows = Sequence[Mapping[str, str]]
"""Rows of a `metrics.csv`: texts by the names of columns."""

_PANEL_WIDTH, _PANEL_HEIGHT, _COLUMNS, _DPI = 4.4, 3.6, 3, 120
_SMALLEST, _LARGEST = 30.0, 900.0  # Areas of markers, square points.
_MARKERS = "osD^vPX*"
_LEGEND_COLUMNS = 5
_LOSSES = ("train/loss", "valid/loss")
_CURVES_WIDTH, _CURVES_HEIGHT, _CURVES_DPI = 3.4, 5.0, 100


def draw_curves(runs: Mapping[str, tuple[Rows, str]]) -> Figure:
    """Draw a column of panels for each training: its losses above, its monitored metric below.

    Args:
        runs: Logged rows and name of the monitored metric of each training, by title.
    """
    count = max(1, len(runs))
    figure = Figure(figsize=(_CURVES_WIDTH * count, _CURVES_HEIGHT), dpi=_CURVES_DPI, layout="constrained")
    grid = figure.subplots(2, count, sharex="col", squeeze=False)
    for column, (title, (rows, monitor)) in zip(grid.T, runs.items(), strict=False):
        for axes, names in zip(column, (_LOSSES, (monitor,)), strict=True):
            _draw_losses(axes, rows, names)
        column[0].set_title(title, fontsize="medium")
        column[-1].set_xlabel("step")
    return figure


@dataclass(frozen=True)
class Candidate:
    """Model in a chart of quality against cost.

    Attributes:
        name: Name of the model.
        quality: Quality of the model; more is better.
        size: Number of parameters, shown as the area of the marker.
        costs: Cost by name of the resource; None if unknown.
    """

    name: str
    quality: float
    size: int
    costs: Mapping[str, float | None]


def pareto_front(costs: Sequence[float], qualities: Sequence[float]) -> list[int]:
    """Find the models that no other one dominates by being as cheap and better, or cheaper and as good.

    Args:
        costs: Cost of each model; less is better.
        qualities: Quality of each model; more is better.

    Returns:
        Indices of the models, from the cheapest to the best.
    """
    front: list[int] = []
    for index in sorted(range(len(costs)), key=lambda index: (costs[index], -qualities[index])):
        better = not front or qualities[index] > qualities[front[-1]]
        equal = front and (costs[index], qualities[index]) == (costs[front[-1]], qualities[front[-1]])
        if better or equal:
            front.append(index)
    return front


def draw_pareto(
    candidates: Sequence[Candidate], resources: Sequence[str], *, quality: str, title: str = ""
) -> Figure:
    """Draw quality against each resource on a logarithmic axis, with the Pareto front.

    Numbers tell the models apart, from the best down. A panel omits models of unknown or zero cost.

    Args:
        candidates: Models to draw.
        resources: Names of the panels, keys of the candidates' `costs`.
        quality: Name and unit of the quality.
        title: Title of the figure.
    """
    candidates = sorted(candidates, key=lambda model: -model.quality)
    rows = -(-len(resources) // _COLUMNS)
    size = (_PANEL_WIDTH * _COLUMNS, _PANEL_HEIGHT * rows + 0.24 * (2 + len(candidates) // _LEGEND_COLUMNS))
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    grid = list(figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False).flat)
    for axes, resource in zip(grid, resources, strict=False):
        _draw_panel(axes, candidates, resource)
        axes.set(xlabel=resource)
    for axes in grid[len(resources) :]:
        axes.set_axis_off()
    figure.supylabel(quality)
    figure.suptitle(title, fontsize="medium")
    explained = _one_of_each(grid)
    names = [model.name for model in candidates if model.name in explained]
    labels = [f"{1 + place}  {model.name}" for place, model in enumerate(candidates) if model.name in names]
    handles = [explained[name] for name in names]
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=_LEGEND_COLUMNS, frameon=False)
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([60.0])
    return figure


def _draw_losses(axes: Axes, rows: Rows, names: Sequence[str]) -> None:
    for name in names:
        points = [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
        steps, values = zip(*points, strict=True) if points else ((), ())
        axes.plot(steps, values, label=name, marker="." if name.startswith("valid") else None)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _draw_panel(axes: Axes, candidates: Sequence[Candidate], resource: str) -> None:
    known = [(place, model) for place, model in enumerate(candidates) if model.costs.get(resource)]
    costs = [float(model.costs[resource] or 0) for _, model in known]
    qualities = [model.quality for _, model in known]
    front = pareto_front(costs, qualities)
    axes.plot(
        [costs[i] for i in front], [qualities[i] for i in front], color="grey", linestyle="--", zorder=1
    )
    for (place, model), cost in zip(known, costs, strict=True):
        _draw_marker(axes, place, model, cost, _area(model.size, candidates))
    _set_scale(axes, costs)
    axes.margins(y=0.15)
    axes.grid(alpha=0.3)


def _draw_marker(axes: Axes, place: int, model: Candidate, cost: float, area: float) -> None:
    """Draw a model with its number beside it; small markers lie above large ones."""
    axes.scatter(
        cost,
        model.quality,
        s=area,
        color=colormaps["tab20"](place % 20),
        marker=_MARKERS[place // 20 % len(_MARKERS)],
        alpha=0.8,
        edgecolors="black",
        linewidths=0.5,
        label=model.name,
        zorder=2 + 1 / area,
    )
    # Distance of the marker's edge from its centre along a diagonal, points.
    edge = (area / (2 * pi)) ** 0.5
    number = axes.annotate(
        str(1 + place), (cost, model.quality), (edge, edge), textcoords="offset points", fontsize=8, zorder=3
    )
    number.set_path_effects([withStroke(linewidth=2, foreground="white")])


def _set_scale(axes: Axes, costs: Sequence[float]) -> None:
    """Set a logarithmic axis of at least a decade, with round numbers as labels."""
    axes.set_xscale("log")
    lowest, highest = min(costs, default=1.0), max(costs, default=1.0)
    spread = highest / lowest
    # Margins keep the markers at both ends whole, also on long axes.
    room = max(1.3, spread**0.12, (10 / spread) ** 0.5)
    axes.set_xlim(lowest / room, highest * room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if spread < 100 else (1.0,)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _area(size: int, candidates: Sequence[Candidate]) -> float:
    """Area of a marker: proportional to the parameters, neither invisible nor hiding others."""
    largest = max(model.size for model in candidates)
    return float(np.clip(_LARGEST * size / max(1, largest), _SMALLEST, _LARGEST))


def _one_of_each(grid: Sequence[Axes]) -> dict[str, Artist]:
    """Collect one marker of each model from all panels, for the legend."""
    pairs = [pair for axes in grid for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    found: dict[str, Artist] = {}
    for handle, label in pairs:
        found.setdefault(label, handle)
    return found
