"""Plots as plain SVG: boxes and distributions of scores, coloured by the style sheet of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

_LETTERS = 17
"""Letters of a label that fit into its column; longer ones are cut."""

_WIDTH, _LABELS, _ROW, _HEAD, _FOOT, _GAP = 232, 130, 22, 22, 26, 28
_GRID_POINTS = 120


def box_plot(
    panels: Mapping[str, Mapping[str, Sequence[float]]], colours: Mapping[str, str], title: str
) -> str:
    """Draw boxes of scores: a panel for each metric, a row for each system.

    A box reaches from the first to the third quartile, with a line at the median; whiskers reach to the last
    value within 1.5 times the height of the box, dots are values beyond (Tukey).

    Args:
        panels: Values in dB by metric and system; values that are not finite are left out.
        colours: Style class of each system.
        title: Description for screen readers.
    """
    systems = list(next(iter(panels.values())))
    height = _HEAD + _ROW * len(systems) + _FOOT
    width = _LABELS + (_WIDTH + _GAP) * len(panels)
    parts = [_text(_LABELS - 8, _row_middle(row) + 4, name, "end") for row, name in enumerate(systems)]
    for index, (metric, values) in enumerate(panels.items()):
        left = _LABELS + index * (_WIDTH + _GAP)
        axis = _Axis.around([_finite(values[name]) for name in systems], left)
        parts.append(_panel(axis, metric, len(systems)))
        parts += [
            _box(axis, _row_middle(row), colours[name], name, _finite(values[name]))
            for row, name in enumerate(systems)
        ]
    return _svg(width, height, title, "boxes", parts)


def density_plot(values: Mapping[str, Sequence[float]], colours: Mapping[str, str], title: str) -> str:
    """Draw distributions of scores, a curve for each system, all of one height.

    The kernels are Gaussian, with Silverman's bandwidth.

    Args:
        values: Values in dB by system; values that are not finite are left out.
        colours: Style class of each system.
        title: Title of the plot.
    """
    rows = 6
    finite = {name: _finite(scores) for name, scores in values.items()}
    axis = _Axis.around(list(finite.values()), _GAP)
    grid = np.linspace(axis.low, axis.high, _GRID_POINTS)
    curves = {name: _density(scores, grid) for name, scores in finite.items() if scores.size}
    bottom, tall = _HEAD + _ROW * rows, _ROW * rows - 6
    parts = [_panel(axis, title, rows)]
    for name, curve in curves.items():
        points = " ".join(
            f"{axis.x(level):.1f},{bottom - tall * height:.1f}"
            for level, height in zip(grid, curve, strict=True)
        )
        start, end = f"{axis.x(axis.low):.1f},{bottom}", f"{axis.x(axis.high):.1f},{bottom}"
        parts.append(
            f'<polygon class="curve {colours[name]}" points="{start} {points} {end}">'
            f"<title>{escape(name)}</title></polygon>"
        )
    return _svg(_WIDTH + 2 * _GAP, bottom + _FOOT, title, "density", parts)


class _Axis:
    """Horizontal axis in dB, from `low` to `high`, `_WIDTH` wide."""

    def __init__(self, low: float, high: float, left: float) -> None:
        self.step = _nice_step((high - low) / 5)
        self.low = math.floor(low / self.step) * self.step
        self.high = math.ceil(high / self.step) * self.step
        self.left = left

    @classmethod
    def around(cls, groups: Sequence[NDArray[np.float64]], left: float) -> _Axis:
        """Make an axis for all values except the most extreme hundredth on either side."""
        values = np.concatenate([*groups, np.zeros(0)])
        low, high = np.percentile(values, (1, 99)) if values.size else (0.0, 1.0)
        margin = 0.08 * max(high - low, 1.0)
        return cls(float(low - margin), float(high + margin), left)

    def x(self, value: float) -> float:
        """Place of a value, or of the nearer end for a value beyond the axis."""
        part = (value - self.low) / (self.high - self.low)
        return self.left + _WIDTH * min(1.0, max(0.0, part))

    @property
    def ticks(self) -> list[float]:
        """Round values along the axis."""
        count = round((self.high - self.low) / self.step)
        return [self.low + self.step * index for index in range(count + 1)]


def _nice_step(step: float) -> float:
    scale = 10.0 ** math.floor(math.log10(step))
    return next(nice * scale for nice in (1, 2, 5, 10) if step <= nice * scale * (1 + 1e-9))


def _panel(axis: _Axis, title: str, rows: int) -> str:
    bottom = _HEAD + _ROW * rows
    parts = [_text(axis.left + _WIDTH / 2, 14, title, "middle", "head")]
    for tick in axis.ticks:
        kind = "zero" if abs(tick) < axis.step / 2 else "grid"
        x = f"{axis.x(tick):.1f}"
        parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="{_HEAD}" y2="{bottom}"/>')
        parts.append(_text(axis.x(tick), bottom + 14, f"{tick:g}", "middle", "tick"))
    return "".join(parts)


def _box(axis: _Axis, middle: float, colour: str, name: str, values: NDArray[np.float64]) -> str:
    if not values.size:
        return ""
    first, median, third = np.percentile(values, (25, 50, 75))
    reach = 1.5 * (third - first)
    inside = values[(values >= first - reach) & (values <= third + reach)]
    outside = values[(values < first - reach) | (values > third + reach)]
    top = middle - 7
    low, high = axis.x(inside.min()), axis.x(inside.max())
    left, right = axis.x(first), axis.x(third)
    told = f"{name}: median {median:.2f}, quartiles {first:.2f} and {third:.2f} dB, {values.size} values"
    dots = "".join(f'<circle cx="{axis.x(value):.1f}" cy="{middle}" r="1.6"/>' for value in outside)
    return (
        f'<g class="box {colour}"><title>{escape(told)}</title>'
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
        f'<rect x="{left:.1f}" y="{top}" width="{max(1.0, right - left):.1f}" height="14" rx="2"/>'
        f'<line class="median" x1="{axis.x(median):.1f}" x2="{axis.x(median):.1f}" '
        f'y1="{top}" y2="{top + 14}"/>'
        f"{dots}</g>"
    )


def _density(values: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = float(values.std()) or 0.5
    bandwidth = max(0.05, 1.06 * spread * values.size**-0.2)
    density = np.exp(-0.5 * ((grid[:, None] - values) / bandwidth) ** 2).mean(axis=1)
    return density / max(float(density.max()), np.finfo(np.float64).tiny)


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def _row_middle(row: int) -> float:
    return _HEAD + _ROW * row + _ROW / 2


def _text(x: float, y: float, text: str, anchor: str, kind: str = "label") -> str:
    shown = text if len(text) <= _LETTERS or kind != "label" else f"{text[: _LETTERS - 1]}…"
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(shown)}</text>'


def _svg(width: float, height: float, title: str, kind: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="plot {kind}" role="img" aria-label="{escape(title, quote=True)}" '
        f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">{"".join(parts)}</svg>'
    )
