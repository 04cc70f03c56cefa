"""Results of several systems, gathered and tabulated."""

import csv

import pytest

from soloist.errors import UsageError
from soloist.evaluation import Outcome, load_results, write_reports
from soloist.evaluation.outcomes import read_failures, write_failures
from soloist.evaluation.reports import format_markdown, write_frames_csv, write_tracks_csv
from soloist.evaluation.result_tables import summary_rows
from soloist.evaluation.results import all_targets, best_first
from synthetic_results import write_system


@pytest.fixture
def results(tmp_path):
    write_system(tmp_path / "results", "better", mean=8.0, failures={"song 9": "it is damaged"})
    write_system(tmp_path / "results", "worse", mean=2.0)
    return tmp_path / "results"


def test_systems_are_found_in_a_folder_of_results_or_named_themselves(results, tmp_path):
    write_system(tmp_path / "elsewhere", "third", mean=1.0)
    systems = load_results([results, tmp_path / "elsewhere" / "third", results / "worse"])
    assert [system.name for system in systems] == ["better", "worse", "third"]
    assert [len(system.records) for system in systems] == [6, 6, 6]
    assert systems[0].failures == {"song 9": "it is damaged"}


def test_parts_of_one_system_are_merged_unless_both_have_scores_of_a_track(results, tmp_path):
    part = write_system(tmp_path / "part", "better", mean=8.0, failures={"song 0": "it was too long"})
    for number in range(6):
        if number != 3:
            (part / f"test/song {number}.json").unlink()
    (results / "better/test/song 3.json").unlink()
    better, _ = load_results([results, tmp_path / "part"])
    assert [record.track for record in better.records] == [f"song {number}" for number in range(6)]
    # One of the parts has scores of the track that failed in the other.
    assert better.failures == {"song 9": "it is damaged"}
    write_system(tmp_path / "elsewhere", "worse", mean=1.0)
    with pytest.raises(UsageError, match="both have scores of worse on song 0: leave one of them out"):
        load_results([results, tmp_path / "elsewhere"])


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no results in"):
        load_results([tmp_path])


def test_figures_are_medians_over_tracks_of_medians_over_windows(results):
    better, _ = load_results([results])
    medians = better.tracks("vocals", "SDR")
    by_hand = [sorted(record.targets[0].frames["SDR"])[2] for record in better.records]
    assert medians == pytest.approx(by_hand)
    row = next(row for row in summary_rows([better]) if row[0] == "vocals")
    assert float(row[3]) == pytest.approx((sorted(by_hand)[2] + sorted(by_hand)[3]) / 2, abs=0.005)


def test_the_best_system_comes_first_with_its_cost(results):
    rows = summary_rows(load_results([results]))
    assert [row[:3] for row in rows] == [
        ["vocals", "better", "6"],
        ["vocals", "worse", "6"],
        ["accompaniment", "better", "6"],
        ["accompaniment", "worse", "6"],
    ]
    assert rows[0][-2:] == ["0.250", "515"]


def test_vocals_and_accompaniment_come_first(results):
    assert all_targets(load_results([results])) == ["vocals", "accompaniment"]


def test_systems_without_scores_come_last(results):
    write_system(results, "nothing", mean=float("nan"))
    systems = load_results([results])
    assert [system.name for system in best_first(systems, "vocals")] == ["better", "worse", "nothing"]


def test_an_interval_needs_tracks(results, tmp_path):
    write_system(tmp_path / "few", "few", mean=3.0, tracks=4)
    few, better, _ = load_results([tmp_path / "few", results])
    assert few.interval("vocals", "SDR") is None
    low, high = better.interval("vocals", "SDR")
    assert low < sorted(better.tracks("vocals", "SDR"))[3] < high


def test_markdown_has_a_line_a_row_and_says_what_failed(results):
    lines = format_markdown(load_results([results])).splitlines()
    assert lines[0].startswith("| target | system | tracks | SDR |")
    assert len({line.count("|") for line in lines[:6]}) == 1
    assert lines[-1] == "- better: song 9 has no scores: it is damaged"


def test_csv_has_a_row_for_each_track_and_for_each_window(results, tmp_path):
    systems = load_results([results])
    write_tracks_csv(tmp_path / "tracks.csv", systems)
    write_frames_csv(tmp_path / "frames.csv", systems)
    with (tmp_path / "tracks.csv").open() as file:
        tracks = list(csv.DictReader(file))
    with (tmp_path / "frames.csv").open() as file:
        frames = list(csv.DictReader(file))
    assert len(tracks) == 2 * 6 * 2
    assert len(frames) == 2 * 6 * 2 * 5
    assert float(tracks[0]["SDR"]) == pytest.approx(systems[0].tracks("vocals", "SDR")[0], abs=1e-5)
    assert frames[1]["time"] == "1.0"


def test_failures_vanish_when_there_are_none(tmp_path):
    outcomes = [Outcome("song", failure="it is damaged"), Outcome("other song")]
    write_failures(tmp_path / "system", outcomes)
    assert read_failures(tmp_path / "system") == {"song": "it is damaged"}
    write_failures(tmp_path / "system", outcomes[1:])
    assert read_failures(tmp_path / "system") == {}


def test_the_tables_are_written_as_parquet_too(results, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is in the extra parquet")
    write_reports(tmp_path, load_results([results]))
    with (tmp_path / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "tracks.parquet")
    assert table.num_rows == len(rows) > 0
    assert table["SDR"].to_pylist() == pytest.approx([float(row["SDR"]) for row in rows])
    assert (tmp_path / "frames.parquet").exists()
