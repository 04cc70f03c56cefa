"""Jobs on the disk."""

import time

import pytest

from soloist.server.job_store import JobStore
from soloist.server.limits import Limits


def ended(store, name, *, age=0.0, size=10):
    job = store.create(name=name)
    job.state, job.finished = "finished", time.time() - age
    job.created -= age
    job.upload.write_bytes(bytes(size))
    store.save(job)
    return job


def test_a_restart_finds_finished_jobs_and_begins_the_others_anew(tmp_path):
    store = JobStore(tmp_path, Limits())
    finished, running, waiting, receiving = (store.create(name=name) for name in "abcd")
    for job, state in ((finished, "finished"), (running, "running"), (waiting, "waiting")):
        job.state = state
        store.save(job)
    again = {job.id: job for job in JobStore(tmp_path, Limits())}
    assert {again[job.id].state for job in (finished,)} == {"finished"}
    assert again[running.id].state == again[waiting.id].state == "waiting"
    assert again[running.id].notes == ["begun again after a restart of the service"]
    assert again[waiting.id].notes == []
    assert receiving.id not in again
    assert not receiving.folder.exists()


def test_what_is_no_job_is_removed_and_a_damaged_record_stops_nobody(tmp_path):
    (tmp_path / "rubbish").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "job.json").write_text('{"state": "elsewhere"}')
    assert list(JobStore(tmp_path, Limits())) == []
    assert list(tmp_path.iterdir()) == []


def test_jobs_are_deleted_when_they_are_old(tmp_path, caplog):
    store = JobStore(tmp_path, Limits(keep=1))
    old, new = ended(store, "old", age=3700), ended(store, "new", age=3500)
    store.make_room()
    assert list(store) == [new]
    assert not old.folder.exists()
    assert "old was deleted: it was kept for 1 h" in caplog.text


def test_the_oldest_jobs_go_first_when_the_disk_is_full_and_active_ones_stay(tmp_path, caplog):
    store = JobStore(tmp_path, Limits(disk=250_000))
    active = store.create(name="active")
    active.upload.write_bytes(bytes(100_000))
    jobs = [ended(store, f"song {age}", age=age, size=100_000) for age in (300, 200, 100)]
    store.make_room()
    assert list(store) == [jobs[2], active]
    assert store.notices[0].startswith("song 300 was deleted: the jobs take more than 0.00025 GB")
    assert store.notices[0] in caplog.text


def test_a_deleted_job_is_gone_and_its_record_does_not_come_back(tmp_path):
    store = JobStore(tmp_path, Limits())
    job = store.create(name="song")
    store.delete(job)
    store.save(job)
    assert job not in store
    assert not job.folder.exists()
    with pytest.raises(KeyError):
        store.get(job.id)
