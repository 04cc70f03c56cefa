"""A batch reports every file, and a failure stops no other."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from soloist.errors import UsageError
from soloist.inference import Batch, FileSettings, StemSelection, Track

RATE = 8000


@pytest.fixture
def tracks(tmp_path):
    paths = [tmp_path / name for name in ("one.wav", "broken.wav", "two.wav")]
    for path, seconds in zip(paths, (1, 0, 2), strict=True):
        soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(seconds * RATE), RATE)
    paths[1].write_bytes(b"RIFF of nothing")
    return [Track(path, path.stem) for path in paths]


@pytest.fixture
def batch(tmp_path):
    return Batch("hpss", FileSettings(folder=tmp_path / "stems", skip_existing=True))


def test_every_file_is_reported_and_failures_are_counted(batch, tracks):
    reports, failures, progress = [], [], []
    result = batch.run(tracks, reports.append, lambda *failure: failures.append(failure), progress.append)
    assert result.failed == 1
    assert (list(result.reports), list(result.failures)) == (reports, failures)
    assert [report.input.name for report in reports] == ["one.wav", "two.wav"]
    assert all(path.is_file() for report in reports for path in report.stems.values())
    ((track, error),) = failures
    assert track.name == "broken"
    assert "broken.wav" in str(error)
    assert [each.track.name for each in progress if not each.done] == ["one", "broken", "two"]
    assert {each.batch_total for each in progress} == {3.0}
    assert progress[-1].batch_done == pytest.approx(3.0)
    assert (progress[-1].done, progress[-1].total) == pytest.approx((2.0, 2.0))


def test_a_plan_reports_what_would_be_done(batch, tracks, tmp_path):
    plans, failures = [], []
    assert (
        batch.plan(tracks, lambda *plan: plans.append(plan), lambda *failure: failures.append(failure)) == 1
    )
    assert [plan.input.name for plan, _ in plans] == ["one.wav", "two.wav"]
    assert all(expected.seconds > 0 for _, expected in plans)
    assert not (tmp_path / "stems").exists()
    batch.run(tracks, lambda report: None, lambda *failure: None)
    plans.clear()
    batch.plan(tracks, lambda *plan: plans.append(plan), lambda *failure: None)
    assert [(plan.skipped, expected) for plan, expected in plans] == [(True, None), (True, None)]


def test_what_is_wrong_for_every_file_is_refused_at_once(tmp_path):
    with pytest.raises(UsageError, match="guitar"):
        Batch("hpss", FileSettings(folder=tmp_path, selection=StemSelection(("guitar",))))


def test_an_interruption_in_a_library_is_no_failure_of_the_file(batch, tracks, monkeypatch):
    def probe(path, **options):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise RuntimeError("callback failed") from error

    monkeypatch.setattr("soloist.inference.file_job.probe", probe)
    failures = []
    with pytest.raises(KeyboardInterrupt):
        batch.run(tracks, print, lambda *failure: failures.append(failure))
    assert not failures


def test_skipping_and_replacing_exclude_each_other():
    with pytest.raises(UsageError, match="overwrite"):
        FileSettings(skip_existing=True, overwrite=True)
