"""Records: museval's JSON and what Soloist adds to it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from soloist.errors import AudioError
from soloist.evaluation import TargetScores, TrackRecord, read_records, score_estimates
from soloist.evaluation.records import SeparationCost, read_record, record_path
from stem_corpora import RATE, noises, spoiled


@pytest.fixture
def record():
    scores = TargetScores(
        "vocals",
        {"SDR": [1.0, math.nan], "ISR": [2.0, 3.0], "SIR": [math.inf, 4.0], "SAR": [5.0, -6.123456]},
        {"SI-SDR": 7.0, "uSDR": 8.0},
        rank_deficient=True,
    )
    return TrackRecord(
        "a system",
        "folder/a song",
        (scores,),
        window=1.0,
        hop=0.5,
        duration=2.0,
        cost=SeparationCost(3.0, 400.0, "cpu"),
        notes=("bass: no estimate",),
        refused=("drums: it has 2 channel(s), the references 1",),
        settings={"window": 1.0},
    )


def test_a_record_is_read_as_it_was_written(record, tmp_path):
    path = record.write(tmp_path)
    assert path == record_path(tmp_path, "folder/a song")
    (read,) = read_records(tmp_path)
    (expected,), (found,) = record.targets, read.targets
    assert found.frames["SAR"] == [5.0, -6.12346]
    assert math.isnan(found.frames["SDR"][1])
    assert math.isnan(found.frames["SIR"][0]), "museval has no infinity"
    assert (found.whole, found.rank_deficient) == (expected.whole, True)
    kept = ("system", "track", "window", "hop", "duration", "cost", "notes", "refused", "settings")
    assert {name: getattr(read, name) for name in kept} == {name: getattr(record, name) for name in kept}


def test_a_record_is_json_for_strict_readers_and_null_is_read_as_nan(record, tmp_path):
    endless = TargetScores("drums", record.targets[0].frames, {"SI-SDR": math.inf, "uSDR": -math.inf})
    bare = replace(record, targets=(endless,), duration=math.nan, cost=SeparationCost(math.nan))
    text = bare.write(tmp_path).read_text()
    content = json.loads(text, parse_constant=pytest.fail)
    assert content["targets"][0]["frames"][1]["metrics"]["SDR"] is None
    assert content["soloist"]["whole"] == {"drums": {"SI-SDR": None, "uSDR": None}}
    (read,) = read_records(tmp_path)
    (target,) = read.targets
    numbers = [target.frames["SDR"][1], target.frames["SIR"][0], *target.whole.values()]
    assert np.isnan([*numbers, read.duration, read.cost.elapsed]).all()


def test_records_of_earlier_versions_with_bare_nan_are_read(record, tmp_path):
    path = record.write(tmp_path)
    path.write_text(path.read_text().replace("null", "NaN"))
    (read,) = read_records(tmp_path)
    assert math.isnan(read.targets[0].frames["SDR"][1])


def test_nothing_but_the_record_is_left_in_the_folder(record, tmp_path):
    record.write(tmp_path)
    record.write(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a song.json"]


def test_a_file_of_museval_is_a_record(tmp_path):
    metrics = [{"SDR": value, "ISR": 1, "SIR": 2, "SAR": 3} for value in range(3)]
    frames = [{"time": 0.5 * index, "duration": 2.0, "metrics": metrics[index]} for index in range(3)]
    content = {"targets": [{"name": "vocals", "frames": frames}], "museval_version": "0.3.0"}
    path = tmp_path / "method" / "test" / "song.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    (record,) = read_records(tmp_path / "method")
    assert (record.system, record.track, record.cost) == ("method", "song", None)
    assert (record.window, record.hop) == (2.0, 0.5)
    assert record.targets[0].frames["SDR"] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"targets": [{"name": "vocals"}]}'])
def test_what_is_no_record_is_refused_by_name(tmp_path, content):
    path = tmp_path / "song.json"
    path.write_text(content)
    with pytest.raises(AudioError, match=r"song\.json is not a record"):
        read_record(path, "system", "song")


def test_museval_reads_what_is_written(tmp_path):
    try:
        import museval
    except (ImportError, RuntimeError) as error:  # it refuses to be imported where there is no ffmpeg
        pytest.skip(f"museval cannot be imported: {error}")
    references = noises(("vocals", "other"))
    scores = score_estimates(references, spoiled(references), RATE)
    scores[0].frames["SIR"][0] = math.nan
    TrackRecord("ours", "song", tuple(scores)).write(tmp_path / "ours")
    store = museval.EvalStore()
    store.add_eval_dir(tmp_path / "ours")
    found = store.df.set_index(["track", "target", "metric", "time"])["score"].sort_index()
    assert len(found) == 2 * 4 * 2
    for score in scores:
        for metric, values in score.frames.items():
            assert found["song", score.name, metric].tolist() == pytest.approx(values, abs=1e-5, nan_ok=True)
