"""The front of models that none beats, and its picture."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from soloist.plots.pareto import Candidate, draw_pareto, pareto_front

COARSE = st.integers(0, 5).map(float)


@given(points=st.lists(st.tuples(COARSE, COARSE), max_size=12))
def test_nothing_beats_the_front_and_everything_else_is_beaten(points):
    def beaten(index: int) -> bool:
        cost, quality = points[index]
        return any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in points)

    front = pareto_front([cost for cost, _ in points], [quality for _, quality in points])
    assert sorted(front) == [index for index in range(len(points)) if not beaten(index)]
    assert [points[index] for index in front] == sorted(points[index] for index in front)


MODELS = [
    Candidate("small", 3.0, 1000, {"FLOP": 10.0, "time": 0.1}),
    Candidate("large", 9.0, 4_000_000, {"FLOP": 1000.0, "time": 0.5}),
    Candidate("beaten", 2.0, 2_000_000, {"FLOP": 500.0, "time": 0.4}),
    Candidate("free", 5.0, 0, {"FLOP": None, "time": 0.2}),
]


def test_a_panel_for_each_resource_a_marker_for_each_model():
    figure = draw_pareto(MODELS, ["FLOP", "time"], quality="SDR (dB)", title="songs")
    flop, time, empty = figure.axes
    assert [axes.get_xlabel() for axes in (flop, time)] == ["FLOP", "time"]
    assert {axes.get_xscale() for axes in (flop, time)} == {"log"}
    assert not empty.axison
    assert [marker.get_label() for marker in flop.collections] == ["small", "large", "beaten"]
    assert [marker.get_label() for marker in time.collections] == ["small", "large", "beaten", "free"]
    places = [tuple(marker.get_offsets()[0]) for marker in flop.collections]
    assert places == [(10.0, 3.0), (1000.0, 9.0), (500.0, 2.0)]
    (line,) = flop.lines
    assert list(zip(*line.get_data(), strict=True)) == [(10.0, 3.0), (1000.0, 9.0)]


def test_markers_are_as_large_as_models():
    figure = draw_pareto(MODELS, ["time"], quality="SDR (dB)")
    small, large, beaten, free = (marker.get_sizes()[0] for marker in figure.axes[0].collections)
    assert large == 2 * beaten > small == free


def test_each_model_is_explained_once():
    figure = draw_pareto(MODELS, ["FLOP", "time"], quality="SDR (dB)")
    (legend,) = figure.legends
    assert sorted(text.get_text() for text in legend.get_texts()) == ["beaten", "free", "large", "small"]
    figure.draw_without_rendering()
