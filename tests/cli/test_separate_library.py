"""`soloist separate` over a library: --jobs, lists, the report of the manifest, and a row again."""

from __future__ import annotations

import json
import signal
import sqlite3
import time

import numpy as np
import psutil
import pytest
import soundfile

from faults import leftovers, tree
from soloist.audio.tags import read_tags
from soloist.inference import Batch, FileSettings
from soloist.library import EntryWorker, LibraryRun, find_entries

RATE = 8000


@pytest.fixture
def songs(tmp_path):
    folder = tmp_path / "songs"
    folder.mkdir()
    for number, seconds in enumerate((0.2, 0.6, 0.4)):
        noise = np.random.default_rng(number).uniform(-0.2, 0.2, int(seconds * RATE))
        soundfile.write(folder / f"s{number}.wav", noise, RATE)
    (folder / "bad.wav").write_bytes(b"RIFF of nothing")
    return folder


@pytest.fixture
def out(songs, tmp_path):
    """The songs, separated into a folder with a manifest."""
    settings = FileSettings(tmp_path / "out", skip_existing=True)
    worker = EntryWorker()
    run = LibraryRun(find_entries([str(songs)], "hpss", settings, lambda *lost: None), Workers(worker))
    assert (run.run().separated, run.run().finished) == (3, 3)
    return tmp_path / "out"


class Workers:
    """One worker, in this process."""

    def __init__(self, worker):
        self.prepare, self.run = worker.prepare, lambda entries: map(worker.run, entries)


def test_a_library_is_reported(soloist, out, tmp_path):
    result = soloist("report", out)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("3 separated, 0 found finished, 1 failed: 0.00 h of audio in ")
    assert any(line.startswith("hpss") for line in lines)
    assert any(line.startswith("audio") and "bad.wav is not audio" in line for line in lines)
    assert sorted(line.split()[-1] for line in lines if "/songs/s" in line) == ["1", "2", "3"]
    summary = json.loads(soloist("report", out / "manifest", "--json").out)
    assert (summary["separated"], summary["failures"][0]["kind"]) == (3, "audio")
    refused = soloist("report", out, "-o", tmp_path / "report")
    assert (refused.code, refused.err.count("\n")) == (2, 1)


def test_a_row_is_replayed(soloist, out, songs, tmp_path):
    again = tmp_path / "again"
    result = soloist("separate", "--replay", out / "manifest", "--row", 1, "-o", again)
    assert (result.code, result.err) == (0, "row 1: the same samples\n")
    assert result.out.split() == [str(again / f"hpss/s1/{stem}.wav") for stem in ("harmonic", "percussive")]
    for stem in ("harmonic", "percussive"):
        path = f"hpss/s1/{stem}.wav"
        assert (again / path).read_bytes() == (out / path).read_bytes()
    (part,) = (out / "manifest").glob("*.sqlite")
    database = sqlite3.connect(part)
    database.execute('UPDATE conditions SET content = replace(content, \'"soxr": "\', \'"soxr": "0.\')')
    database.commit()
    assert (
        "the same samples, although soxr was 0."
        in soloist("separate", "--replay", part, "--row", 1, "-o", tmp_path / "2").err
    )
    database.execute("UPDATE rows SET hashes = zeroblob(64) WHERE id = 1")
    database.commit()
    database.close()
    other = soloist("separate", "--replay", out, "--row", 1, "-o", tmp_path / "3")
    assert other.code == 1
    assert "row 1: other files, and the old ones are not there to compare: soxr was 0." in other.err
    same = soloist("separate", "--replay", out, "--row", 1, "-o", out)
    assert (same.code, "choose another --output" in same.err) == (2, True)
    (songs / "s1.wav").write_bytes((songs / "s2.wav").read_bytes())
    changed = soloist("separate", "--replay", out, "--row", 1, "-o", again)
    assert (changed.code, "s1.wav has changed since" in changed.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--replay", "{out}", "--row", "1", "--shifts", "2"), "--shifts is that of the row"),
        (("--replay", "{out}"), "--replay MANIFEST --row N"),
        (("--replay", "{out}", "--row", "9"), "has no row 9: they are numbered from 1 to 4"),
        (("--replay", "{out}", "--row", "4"), "has no stems that could be compared"),
        (("--replay", "{songs}", "--row", "1"), "has no manifest"),
        (("-", "--jobs", "2"), "standard input and pipes are read by one process"),
        (("{songs}/list.csv", "--dry-run"), "--dry-run is for files of this machine"),
        (("{songs}/none.csv",), "none.csv does not exist"),
        (
            ("{songs}", "--output", "s3://bucket/out"),
            "--output s3://bucket/out is a URL, and files",
        ),
    ],
)
def test_wrong_usage_is_one_line(soloist, out, songs, tmp_path, arguments, message):
    (songs / "list.csv").write_text("path\ns0.wav\n")
    given = [argument.format(out=out, songs=songs) for argument in arguments]
    model = [] if "--replay" in given else ["-m", "hpss"]
    result = soloist("separate", "-o", tmp_path / "x", *given, *model)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert message in result.err


@pytest.mark.slow
def test_a_list_is_separated_by_several_processes(soloist, songs, tmp_path):
    rows = ["path,model,stems,start,name", "s0.wav,,,,", "s1.wav,hpss,harmonic,0.1,deep/first", "bad.wav,,,,"]
    (songs / "list.csv").write_text("\n".join(rows))
    command = (
        "separate",
        songs / "list.csv",
        "-m",
        "repet",
        "-o",
        tmp_path / "out",
        "--jobs",
        2,
        "-f",
        "flac",
    )
    result = soloist(*command, "--json")
    assert result.code == 1, result.err
    lines = {line["input"]: line for line in map(json.loads, result.out.splitlines())}
    assert {name: line["ok"] for name, line in lines.items()} == {
        str(songs / "s0.wav"): True,
        str(songs / "s1.wav"): True,
        str(songs / "bad.wav"): False,
    }
    stem = tmp_path / "out/hpss/deep/first/harmonic.flac"
    assert soundfile.info(stem).frames == round(0.5 * RATE)
    assert read_tags(stem).text["comment"][-1].startswith("Separated by Soloist ")
    assert read_tags(stem).text["comment"][-1].endswith(" with hpss")
    assert len(list((tmp_path / "out").rglob("*.flac"))) == 3
    again = soloist(*command)
    assert again.err.splitlines()[0] == "2 files finished before, left alone"
    assert again.err.splitlines()[-1] == "1 of 3 inputs failed"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_goes_on(soloist_process, songs, tmp_path, number):
    long = np.random.default_rng(0).uniform(-0.2, 0.2, 60 * RATE)
    for index in range(4):
        soundfile.write(songs / f"long{index}.wav", long, RATE)
    (songs / "bad.wav").unlink()
    command = ("separate", songs, "-m", "hpss", "-o", tmp_path / "out", "--jobs", 2)
    process = soloist_process(*command)
    started = time.monotonic()
    while not list((tmp_path / "out").rglob("harmonic.wav")) and time.monotonic() - started < 60:
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    psutil.wait_procs(workers, timeout=30)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert err.decode().splitlines()[-1] == "soloist: interrupted; nothing half-written was left behind"
    assert leftovers(tmp_path / "out") == []
    done = len(list((tmp_path / "out").rglob("percussive.wav")))
    assert 0 < done < 7
    # The next run, here by one worker, does the rest.
    settings = FileSettings(tmp_path / "out", skip_existing=True)
    worker, outcomes = EntryWorker(), []
    entries = find_entries([str(songs)], "hpss", settings, lambda *lost: pytest.fail(str(lost)))
    result = LibraryRun(entries, Workers(worker)).run(outcome=outcomes.append)
    assert (result.finished + result.separated, result.failed) == (7, 0)
    assert sum(each.row.state == "done" for each in outcomes) <= 7 - done
    Batch("hpss", FileSettings(tmp_path / "alone")).run([songs])
    kept, expected = tree(tmp_path / "out"), tree(tmp_path / "alone")
    assert {name: kept[name] for name in kept if name.endswith(".wav")} == {
        name: expected[name] for name in expected if name.endswith(".wav")
    }
