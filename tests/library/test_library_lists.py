"""Lists of recordings: the same rows from CSV, JSON lines and Parquet, and errors that name the row."""

from __future__ import annotations

import json

import pyarrow
import pytest
from pyarrow import parquet

from soloist.errors import UsageError
from soloist.inference import FileSettings, StemSelection
from soloist.library.library_entries import find_entries
from soloist.library.library_lists import ListedRecording, is_list, read_list

ROWS = [
    {
        "path": "a.wav",
        "model": "hpss",
        "stems": "harmonic",
        "start": 0.5,
        "duration": 1.0,
        "name": "x/y",
        "id": 7,
    },
    {
        "path": "s3://bucket/b.flac",
        "model": None,
        "stems": None,
        "start": None,
        "duration": None,
        "name": None,
    },
]


def write(path, rows):
    if path.suffix == ".csv":
        names = list(ROWS[0])
        lines = [",".join("" if row.get(name) is None else str(row[name]) for name in names) for row in rows]
        path.write_text("\n".join([",".join(names), *lines]), encoding="utf-8-sig")
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    else:
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_a_default_model_is_looked_for_once_and_only_if_a_row_names_none(tmp_path):
    asked = []

    def default():
        asked.append(1)
        return "repet"

    def models(rows):
        path = write(tmp_path / "list.csv", [{"path": f"{index}.wav", "model": row} for index, row in rows])
        return [
            each.model for each in find_entries([str(path)], default, FileSettings(tmp_path), pytest.fail)
        ]

    assert (models(enumerate(["hpss", "hpss"])), asked) == (["hpss", "hpss"], [])
    assert (models(enumerate(["hpss", None, None])), asked) == (["hpss", "repet", "repet"], [1])


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_list_has_settings_for_each_recording(tmp_path, suffix):
    path = write(tmp_path / f"list{suffix}", ROWS)
    assert is_list(str(path))
    assert list(read_list(path)) == [
        ListedRecording(str(tmp_path / "a.wav"), "x/y", "hpss", ("harmonic",), 0.5, 1.0),
        ListedRecording("s3://bucket/b.flac"),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"file": "a.wav"}, r"row 1 names no recording: a column path"),
        ({"path": "a.wav", "start": "soon"}, r"row 1: start must be a number of seconds, not 'soon'"),
        ({"path": "a.wav", "duration": 0}, r"row 1: duration must be a time in seconds, not 0"),
        ({"path": "a.wav", "start": -1.0}, r"row 1: start must be a time"),
        ({"path": "a.wav", "stems": 3}, r"row 1: stems must be names"),
        ({"path": "a.wav", "model": 3}, r"row 1: model must be a text"),
        ("a.wav", r"line 1 must be an object"),
    ],
)
def test_an_error_names_the_row(tmp_path, row, message):
    path = write(tmp_path / "list.jsonl", [row])
    with pytest.raises(UsageError, match=message):
        list(read_list(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.csv", b"path\n\xff\xfe\n", "not a table in UTF-8"),
        ("list.jsonl", b"{", "line 1 is no JSON"),
        ("list.parquet", b"PAR1 and no more", "is no Parquet"),
        ("none.csv", None, "does not exist"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        list(read_list(tmp_path / name))


def test_entries_are_the_largest_first_and_have_names_of_their_own(tmp_path):
    for name, size in (("a.wav", 10), ("b.wav", 30), ("c.wav", 20)):
        (tmp_path / name).write_bytes(bytes(size))
    rows = [
        {"path": "a.wav", "start": 1.0},
        {"path": "a.wav", "start": 2.0},
        {"path": "a.wav", "start": 2.0},
        {"path": "a.wav", "model": "umx"},
        {"path": "c.wav", "stems": ["harmonic"]},
        {"path": "missing.wav"},
    ]
    path, lost = write(tmp_path / "list.jsonl", rows), []
    settings = FileSettings(tmp_path / "out", duration=5.0, selection=StemSelection(("percussive",)))
    given = [str(path), str(tmp_path / "b.wav"), str(tmp_path / "no*.wav")]
    entries = find_entries(given, "hpss", settings, lambda *each: lost.append(each))
    found = [(each.track.path.name, each.model, each.track.name, each.settings.start) for each in entries]
    assert found == [
        ("b.wav", "hpss", "b", 0.0),
        ("c.wav", "hpss", "c", 0.0),
        ("a.wav", "hpss", "a.wav", 1.0),
        ("a.wav", "hpss", "a.wav (2)", 2.0),
        ("a.wav", "umx", "a", 0.0),
        ("missing.wav", "hpss", "missing", 0.0),
    ]
    assert [entry.settings.selection.stems for entry in entries[:3]] == [
        ("percussive",),
        ("harmonic",),
        ("percussive",),
    ]
    assert {entry.settings.duration for entry in entries} == {5.0}
    assert len({entry.key for entry in entries}) == 6
    assert [given for given, _ in lost] == [str(tmp_path / "no*.wav")]
