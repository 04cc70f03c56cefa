"""A run over a library: the bytes of one process, nothing done twice, and workers that die."""

from __future__ import annotations

import os
from multiprocessing import Value
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from faults import tree
from soloist.audio.tags import read_tags
from soloist.config.imports import IMPORTS, TRUST, import_code
from soloist.errors import ModelError, UsageError
from soloist.inference import Batch, FileSettings, StreamSettings
from soloist.inference.engines.pytorch import find_devices
from soloist.library import LibraryRun, LocalWorkers, Manifest, entry_worker, find_entries
from soloist.library.entry_worker import EntryWorker
from soloist.separators import build_separator
from soloist.zoo import save_model

RATE = 8000

DEADLY = """
import os, signal
from soloist.separators import HPSS

class Deadly(HPSS):
    def estimate(self, mixture):
        if mixture.abs().max() > 0.9:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().estimate(mixture)
"""


class OneWorker:
    """Workers of this process: one, and no other process."""

    def __init__(self) -> None:
        self.worker, self.begun = EntryWorker(), []
        self.prepare = self.worker.prepare

    def run(self, entries):
        for entry in entries:
            self.begun.append(entry.track.name)
            yield self.worker.run(entry)


def write(path: Path, seconds: float, peak: float = 0.2) -> Path:
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(len(path.name)).uniform(-peak, peak, int(seconds * RATE))
    soundfile.write(path, noise, RATE)
    return path


@pytest.fixture
def songs(tmp_path):
    """Songs of three lengths, of which one is no sound."""
    for number, seconds in enumerate((0.2, 0.6, 0.4)):
        write(tmp_path / "songs" / f"s{number}.wav", seconds)
    (tmp_path / "songs" / "bad.wav").write_bytes(b"RIFF of nothing")
    return tmp_path / "songs"


def entries_of(songs, out, model="hpss", **settings):
    settings = FileSettings(out, skip_existing=not settings.get("overwrite"), **settings)
    return find_entries([str(songs)], model, settings, lambda *lost: pytest.fail(str(lost)))


def run(entries, workers, told=None):
    return LibraryRun(entries, workers).run(outcome=told or (lambda outcome: None))


def counts(result):
    return (result.finished, result.separated, result.failed)


def stems(folder):
    return {name: content for name, content in tree(folder).items() if name.endswith(".wav")}


def test_nothing_finished_is_done_twice_and_what_changed_is_done_again(songs, tmp_path):
    workers, out = OneWorker(), tmp_path / "out"
    assert counts(run(entries_of(songs, out), workers)) == (0, 3, 1)
    assert workers.begun == ["s1", "s2", "s0", "bad"]
    before = stems(out)
    Batch("hpss", FileSettings(tmp_path / "alone")).run([songs])
    assert stems(tmp_path / "alone") == before

    workers.begun.clear()
    write(songs / "s2.wav", 0.5)
    (out / "hpss/s0/harmonic.wav").unlink()
    assert counts(run(entries_of(songs, out), workers)) == (1, 2, 1)
    assert workers.begun == ["s2", "s0", "bad"]
    workers.begun.clear()
    assert counts(run(entries_of(songs, out, overwrite=True), workers)) == (0, 3, 1)
    # Without the manifest, the records beside the stems tell what is finished.
    for part in (out / "manifest").iterdir():
        part.unlink()
    outcomes = []
    assert counts(run(entries_of(songs, out), workers, outcomes.append)) == (0, 3, 1)
    assert [each.row.state for each in outcomes] == ["found", "found", "found", "failed"]
    assert counts(run(entries_of(songs, out), workers)) == (3, 0, 1)


def test_a_row_tells_where_the_stems_come_from(songs, tmp_path):
    outcomes, out = [], tmp_path / "out"
    run(entries_of(songs, out, start=0.1), OneWorker(), outcomes.append)
    row = outcomes[0].row
    assert (row.input, row.start, row.duration) == (str(songs / "s1.wav"), 0.1, None)
    assert (row.seconds, row.conditions.model, row.conditions.engine) == (pytest.approx(0.5), "hpss", "torch")
    assert row.null_dbfs < -100
    assert row.elapsed > 0 < row.memory
    assert set(row.conditions.versions) >= {"soloist", "torch", "numpy", "soxr", "threads", "processor"}
    assert len(row.sha256) == 64
    assert [each.path for each in row.outputs] == ["hpss/s1/harmonic.wav", "hpss/s1/percussive.wav"]
    assert (outcomes[3].row.kind, outcomes[3].row.outputs) == ("audio", ())
    with Manifest(out) as manifest:
        assert manifest.find(row.key) == row
        ((key, finished),) = manifest.finished({row.key, outcomes[3].row.key, 1})
    assert key == row.key
    assert finished.is_there(out)
    assert read_tags(out / row.outputs[0].path).text["comment"] == [
        f"Separated by Soloist {row.conditions.versions['soloist']} with hpss"
    ]
    assert finished.model_hash == row.conditions.model_hash


def test_what_is_wrong_for_all_is_raised_before_the_first(songs, tmp_path):
    with pytest.raises(ModelError, match="no-model"):
        run(entries_of(songs, tmp_path / "out", "no-model"), OneWorker())
    with pytest.raises(UsageError, match="would replace the input"):
        run(entries_of(songs, songs.parent, template="songs/s0.wav{stem:.0}", overwrite=True), OneWorker())
    assert not (tmp_path / "out").exists()


def test_workers_take_devices_in_turn(songs, tmp_path, monkeypatch):
    monkeypatch.setattr(entry_worker, "_worker", None)
    entries, started = entries_of(songs, tmp_path / "out"), Value("i", 0)
    found = []
    for entry in entries[:3]:
        entry_worker.start(1, find_devices("cpu, cpu:0"), started)
        found += entry_worker.separate([entry], 1)
    assert [each.row.conditions.device for each in found] == ["cpu", "cpu:0", "cpu"]
    assert {each.row.conditions.settings["device"] for each in found} == {"auto"}
    assert find_devices("cpu") == ("cpu",)
    with pytest.raises(UsageError, match="cuda:7"):
        find_devices("cpu,cuda:7")


@pytest.mark.slow
def test_several_processes_write_the_same_bytes_and_one_that_is_killed_costs_nothing(songs, tmp_path):
    for number in range(3, 12):
        write(songs / f"s{number}.wav", 0.3)
    Batch("hpss", FileSettings(tmp_path / "alone")).run([songs])
    outcomes, out = [], tmp_path / "out"

    def told(outcome):
        if not outcomes:
            (psutil.Process().children(recursive=True)[-1]).kill()
        outcomes.append(outcome)

    # Entries share batches as soon as a worker has seen one: two at a time, killed together, too.
    entries = entries_of(songs, out, stream=StreamSettings(batch_size=2))
    with LocalWorkers(2, devices=("cpu", "cpu:0")) as workers:
        assert counts(run(entries, workers, told)) == (0, 12, 1)
    assert {each.row.conditions.device for each in outcomes if each.report} <= {"cpu", "cpu:0"}
    assert len({each.entry.key for each in outcomes}) == len(outcomes) == 13
    assert stems(out) == stems(tmp_path / "alone")
    assert not [name for name in tree(out) if name.endswith(".partial")]


@pytest.mark.slow
def test_an_entry_that_kills_its_worker_is_left_after_three_times(songs, tmp_path, monkeypatch):
    write(songs / "poison.wav", 0.3, peak=0.99)
    (tmp_path / "deadly_part.py").write_text(DEADLY)
    monkeypatch.setenv(IMPORTS, str(tmp_path / "deadly_part.py"))
    import_code(str(tmp_path / "deadly_part.py"))
    monkeypatch.setenv(TRUST, "1")
    config = {"class_path": "deadly_part.Deadly"}
    model = save_model(build_separator(config, "test"), config, {}, tmp_path / "model")
    outcomes = []
    with LocalWorkers(2) as workers:
        run(entries_of(songs, tmp_path / "out", str(model)), workers, outcomes.append)
    states = {each.entry.track.name: (each.row.state, each.row.kind, each.row.attempts) for each in outcomes}
    assert states == {
        **dict.fromkeys(("s0", "s1", "s2"), ("done", "", 1)),
        "bad": ("failed", "audio", 1),
        "poison": ("failed", "crash", 3),
    }
    assert "the worker died 3 times" in str(next(each.error for each in outcomes if each.row.kind == "crash"))
    assert os.getpid() not in {child.pid for child in psutil.Process().children()}
