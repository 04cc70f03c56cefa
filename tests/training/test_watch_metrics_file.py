"""The table of figures that survives kills."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soloist.errors import TrainingError
from soloist.training.watch.metrics_file import MetricsFile, read_rows


def table(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_new_figures_become_columns_on_the_right(tmp_path):
    path = tmp_path / "metrics.csv"
    file = MetricsFile(path)
    file.write(4, {"loss": 1.5})
    file.write(9, {"loss": 1.25, "rate, in 1": 0.001})
    file.write(14, {"rate, in 1": 0.5})
    expected = [["step", "loss", "rate, in 1"], ["4", "1.5", ""], ["9", "1.25", "0.001"], ["14", "", "0.5"]]
    assert table(path) == expected


def test_what_is_logged_at_the_same_step_is_one_row(tmp_path):
    path = tmp_path / "metrics.csv"
    file = MetricsFile(path)
    file.write(4, {"loss": 1.5, "epoch": 0})
    file.write(9, {"loss": 1.25, "epoch": 0})
    file.write(9, {"valid": 3.0})
    file.write(9, {"epoch": 1})
    file = MetricsFile(path)
    file.write(9, {"loss": 7.0})
    file.write(10, {"loss": 8.0})
    expected = [["4", "1.5", "0", ""], ["9", "7", "1", "3"], ["10", "8", "", ""]]
    assert table(path) == [["step", "loss", "epoch", "valid"], *expected]


def test_every_row_is_on_the_disk_at_once(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv")
    for step in range(3):
        file.write(step, {"loss": 0.5})
        assert len(table(file.path)) == step + 2


def test_a_half_written_row_is_dropped(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n4,1.5\n9,1.2")
    MetricsFile(path).write(9, {"loss": 1.25})
    assert table(path) == [["step", "loss"], ["4", "1.5"], ["9", "1.25"]]


def test_rows_from_a_step_on_are_dropped(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv")
    for step in (4, 9, 14):
        file.write(step, {"loss": step / 2})
    file.drop_from(9)
    assert [row["step"] for row in read_rows(file.path)[1]] == ["4"]
    file.write(9, {"loss": 0.0})
    assert table(file.path) == [["step", "loss"], ["4", "2"], ["9", "0"]]
    file.drop_from(0)
    assert table(file.path) == [["step", "loss"]]


def test_there_may_be_nothing_to_drop(tmp_path):
    MetricsFile(tmp_path / "metrics.csv").drop_from(0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["name,loss\na,1\n", "step,loss\nfour,1\n"])
def test_another_table_is_refused(tmp_path, text):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(TrainingError, match=r"metrics\.csv"):
        MetricsFile(path)
    assert path.read_text() == text


figures = st.dictionaries(st.sampled_from(["a", "b,", 'c"', "d"]), st.floats(width=32), max_size=3)


@given(st.lists(st.tuples(st.integers(0, 3), figures), max_size=8))
def test_the_table_holds_what_was_written_whoever_opens_it_between(tmp_path_factory, writes):
    path = tmp_path_factory.mktemp("run") / "metrics.csv"
    expected: dict[int, dict[str, float]] = {}
    step, file = 0, MetricsFile(path)
    for place, (advance, values) in enumerate(writes):
        step += advance
        file = MetricsFile(path) if place % 2 else file
        file.write(step, values)
        expected.setdefault(step, {}).update(values)
    rows = read_rows(path)[1] if path.exists() else []
    found = {
        int(row.pop("step")): {name: float(value) for name, value in row.items() if value} for row in rows
    }
    assert found.keys() == expected.keys()
    for step, values in expected.items():
        assert found[step] == pytest.approx(values, rel=1e-6, nan_ok=True)
