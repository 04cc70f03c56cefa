"""Pareto front of models, and its figure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from soloist.plots import Candidate, draw_pareto, pareto_front

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
    assert [marker.get_label() for marker in flop.collections] == ["large", "small", "beaten"]
    assert [marker.get_label() for marker in time.collections] == ["large", "free", "small", "beaten"]
    places = [tuple(marker.get_offsets()[0]) for marker in flop.collections]
    assert places == [(1000.0, 9.0), (10.0, 3.0), (500.0, 2.0)]
    (line,) = flop.lines
    assert list(zip(*line.get_data(), strict=True)) == [(10.0, 3.0), (1000.0, 9.0)]


def test_markers_are_as_large_as_models():
    figure = draw_pareto(MODELS, ["time"], quality="SDR (dB)")
    large, free, small, beaten = (marker.get_sizes()[0] for marker in figure.axes[0].collections)
    assert large == 2 * beaten > small == free


def test_each_model_is_explained_once_under_its_number():
    figure = draw_pareto(MODELS, ["FLOP", "time"], quality="SDR (dB)")
    (legend,) = figure.legends
    explained = [text.get_text() for text in legend.get_texts()]
    assert explained == ["1  large", "2  free", "3  small", "4  beaten"]
    numbers = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert numbers == {"1": (1000.0, 9.0), "3": (10.0, 3.0), "4": (500.0, 2.0)}
    figure.draw_without_rendering()


def test_two_dozen_models_differ_and_small_ones_lie_on_top():
    models = [Candidate(f"model {i}", i / 2, 1000 * 2**i, {"time": 1.0}) for i in range(24)]
    (axes, *_) = draw_pareto(models, ["time"], quality="SDR (dB)").axes
    looks = {(*marker.get_facecolor()[0], len(marker.get_paths()[0])) for marker in axes.collections}
    assert len(looks) == len(models)
    heights = [marker.get_zorder() for marker in axes.collections]
    assert heights == sorted(heights)
    assert heights[0] < heights[-1]
