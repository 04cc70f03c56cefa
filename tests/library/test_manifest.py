"""The manifest: rows come back as they were, the newest counts, parts merge, and a million rows are few."""

from __future__ import annotations

import hashlib
import os
import resource
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from soloist.errors import SoloistError, UsageError
from soloist.library.manifest import Manifest, find_parts, has_manifest, opened, part_name, read_row
from soloist.library.manifest_part import COLUMNS, ManifestPart
from soloist.library.manifest_row import Conditions, ManifestRow, OutputFile, work_key
from soloist.library.manifest_summary import summarize

HTDEMUCS = Conditions("htdemucs", "0" * 32, {"engine": "auto"}, {"torch": "2.13.0"}, "node1", "cpu", "torch")
STEMS = ("drums", "bass", "other", "vocals")


def row(number: int, **changes) -> ManifestRow:
    """A finished row of four stems."""
    name, track = (
        f"/archive/artist {number % 1000}/song {number}.flac",
        f"artist {number % 1000}/song {number}",
    )
    digest = hashlib.sha256(name.encode()).hexdigest()
    values = {
        "key": work_key(name, 0.0, None, "htdemucs", "{}"),
        "input": name,
        "name": track,
        "size": 30_000_000 + number,
        "modified": 1_700_000_000_000_000_000 + number,
        "start": 0.0,
        "duration": None,
        "conditions": HTDEMUCS,
        "state": "done",
        "sha256": digest,
        "outputs": tuple(OutputFile(f"htdemucs/{track}/{stem}.wav", number, digest) for stem in STEMS),
        "seconds": 240.0,
        "elapsed": 60.0 + number % 7,
        "memory": 1500.0,
        "null_dbfs": -40.5,
        "finished": 1000.0 + number,
    }
    return ManifestRow(**{**values, **changes})


ODD = [
    row(1),
    row(
        2, input="/caf\udce9/a\nb.wav", name="caf\udce9", error="caf\udce9: \x00", state="failed", outputs=()
    ),
    row(3, outputs=(OutputFile("a/x\ny.wav", 1, "ab" * 32), OutputFile("b/ü.wav", 2, "cd" * 32))),
    row(4, sha256="", duration=2.5, start=0.1, confidence={"silhouette": 0.5, "posterior": None}),
    row(5, seconds=None, memory=None, null_dbfs=None, kind="audio", attempts=3),
]


def test_rows_come_back_as_they_were(tmp_path):
    with Manifest(tmp_path) as manifest:
        for each in ODD:
            manifest.add(each)
    with Manifest(tmp_path) as manifest:
        assert [manifest.find(each.key) for each in ODD] == ODD
        assert manifest.find(7) is None
    assert read_row(tmp_path / "manifest", 3) == (ODD[2], tmp_path)
    with pytest.raises(UsageError, match=r"no row 6: they are numbered from 1 to 5"):
        read_row(tmp_path, 6)


def test_the_newest_row_of_a_piece_of_work_counts_and_keeps_its_number(tmp_path):
    failed = row(1, state="failed", error="no room", outputs=(), finished=1.0)
    with Manifest(tmp_path) as manifest:
        for each in (failed, row(2), row(1, finished=2.0), failed):
            manifest.add(each)
    assert read_row(tmp_path, 1)[0] == row(1, finished=2.0)


def test_parts_of_several_machines_are_one_manifest(tmp_path):
    folder = tmp_path / "manifest"
    other = ManifestPart(folder / "node2.sqlite", write=True)
    elsewhere = replace(HTDEMUCS, host="node2")
    other.add_all(iter([row(2, finished=9.0, conditions=elsewhere), row(3, state="failed", kind="audio")]))
    other.close()
    with Manifest(tmp_path) as manifest:
        manifest.add(row(1))
        manifest.add(row(2, finished=3.0, state="failed", kind="memory"))
        assert manifest.find(row(2).key).conditions == elsewhere
        assert manifest.find(row(3).key).state == "failed"
    assert {path.name for path in find_parts(tmp_path)} == {part_name(), "node2.sqlite"}
    with opened(find_parts(tmp_path)) as merged:
        found = merged.database.execute("SELECT count(*) FROM rows").fetchone()
        assert (found, merged.find(row(2).key).conditions.host) == ((3,), "node2")
    summary = summarize([tmp_path])
    assert (summary.parts, summary.separated, summary.failed) == (2, 2, 1)
    assert [(each.kind, each.files) for each in summary.failures] == [("audio", 1)]
    with pytest.raises(UsageError, match="2 parts"):
        read_row(tmp_path, 1)


def test_a_summary_adds_up(tmp_path):
    with Manifest(tmp_path) as manifest:
        for number in range(3):
            manifest.add(
                row(number, seconds=100.0, elapsed=10.0 * (number + 1), finished=100.0 * (number + 1))
            )
        manifest.add(
            row(3, conditions=replace(HTDEMUCS, model="umx"), seconds=36.0, elapsed=1.0, finished=50.0)
        )
        manifest.add(row(4, state="failed", kind="audio", error="x is not audio", outputs=()))
        manifest.add(row(5, state="found"))
    summary = summarize([tmp_path])
    assert (summary.separated, summary.found, summary.failed) == (4, 1, 1)
    assert summary.hours * 3600 == pytest.approx(336)
    assert summary.busy_hours * 3600 == pytest.approx(61)
    assert summary.span_hours * 3600 == pytest.approx(300 - 49)
    assert [(each.model, each.files) for each in summary.models] == [("htdemucs", 3), ("umx", 1)]
    assert [each.speed for each in summary.models] == pytest.approx([5.0, 36.0])
    assert [(each.row, each.elapsed) for each in summary.slowest] == [
        (3, 30.0),
        (2, 20.0),
        (1, 10.0),
        (4, 1.0),
    ]
    assert summary.failures[0].example == "x is not audio"


@pytest.mark.parametrize("content", [b"not a database at all, and long enough to be one" * 40, b""])
def test_what_is_no_manifest_is_named(tmp_path, content):
    path = tmp_path / "manifest" / "node1.sqlite"
    path.parent.mkdir()
    path.write_bytes(content)
    if content:
        with pytest.raises(SoloistError, match=r"node1\.sqlite: file is not a database: move it away"):
            summarize([tmp_path])
    else:  # killed when it was made
        assert summarize([tmp_path]).separated == 0
    with pytest.raises(UsageError, match="has no manifest"):
        find_parts(tmp_path / "elsewhere")
    assert has_manifest(tmp_path)
    assert not has_manifest(tmp_path / "elsewhere")


def test_a_manifest_of_a_later_version_is_left_alone(tmp_path):
    with Manifest(tmp_path) as manifest:
        manifest.add(row(1))
    database = sqlite3.connect(tmp_path / "manifest" / part_name())
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(SoloistError, match="later version"):
        Manifest(tmp_path)


@pytest.mark.slow
def test_many_rows_are_opened_resumed_and_queried_within_seconds_and_little_memory(tmp_path):
    count = 1_000_000 if os.environ.get("SOLOIST_TEST_PROFILE") == "nightly" else 200_000
    with Manifest(tmp_path) as manifest:
        manifest.add(row(999_999, key=0, elapsed=60.0))
    path = tmp_path / "manifest" / part_name()
    multiply(path, count)
    assert path.stat().st_size < 500 * count
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with Manifest(tmp_path) as manifest:
        manifest.add(row(1, finished=1e9))
        opening = time.process_time() - start
        # What a run looks up at its beginning: all rows, and a few of them.
        start = time.process_time()
        found = sum(
            work.size == key and len(work.outputs) == 4 for key, work in manifest.finished(range(1, count))
        )
        resuming = time.process_time() - start
        few = {key: work.size for key, work in manifest.finished(range(2, count, 50))}
    assert found == count * 9 // 10 - 1
    assert few == {number: number for number in range(2, count, 50)}
    start = time.process_time()
    summary = summarize([tmp_path])
    querying = time.process_time() - start
    assert (summary.separated, summary.failed) == (count * 9 // 10 + 1, count // 10)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(
        f"open {opening:.2f} s, resume {resuming:.1f} s, query {querying:.1f} s, "
        f"{path.stat().st_size / 1e6:.0f} MB on disk, {grown / 1e6:.0f} MB of memory"
    )
    # Of the processor: the time on the clock is that of whatever else runs, too.
    assert opening < 1
    assert resuming < 15e-6 * count
    assert querying < 15e-6 * count
    assert grown < 500 * count


def multiply(path: Path, count: int) -> None:
    """Copy the only row of a part, of which one in ten failed."""
    changed = {
        "key": "i",
        "size": "i",
        "state": "iif(i % 10 = 3, 'failed', 'done')",
        "kind": "iif(i % 10 = 3, 'audio', '')",
        "elapsed": "60.0 + i % 1000",
    }
    values = ", ".join(changed.get(name, name) for name in COLUMNS)
    database = sqlite3.connect(path)
    database.execute(
        f"WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers LIMIT {count - 1}) "
        f"INSERT INTO rows ({', '.join(COLUMNS)}) SELECT {values} FROM numbers, rows WHERE rows.id = 1"
    )
    database.commit()
    database.close()


def test_the_work_is_known_by_recording_excerpt_model_and_settings():
    given = ("/a.wav\0a", 0.0, None, "hpss", "{}")
    changed = [("/b.wav\0a", *given[1:]), (given[0], 1.0, *given[2:]), (*given[:2], 2.0, *given[3:])]
    changed += [(*given[:3], "umx", "{}"), (*given[:4], '{"engine": "torch"}')]
    keys = {work_key(*each) for each in (given, *changed)}
    assert len(keys) == 6
    assert work_key(*given) in keys
