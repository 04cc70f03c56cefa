import dataclasses
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from soloist.inference.stem_record import RECORD, InputFile, StemRecord, announce, read_records, remember


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "song.wav"
    path.write_bytes(os.urandom(300_000))
    return StemRecord(InputFile.of(path).hashed(path), 0.0, None, "hpss", "hash", {"rate": 8000})


def test_a_record_is_read_as_it_was_written(record, tmp_path):
    other = dataclasses.replace(record, start=1.0)
    remember([tmp_path / "out" / name for name in ("a.wav", "b.wav")], record)
    remember([tmp_path / "out" / "b.wav", tmp_path / "else" / "c.wav"], other)
    assert read_records(tmp_path / "out") == {"a.wav": record, "b.wav": other}
    assert read_records(tmp_path / "else") == {"c.wav": other}
    announce([tmp_path / "out" / "a.wav"], other)
    begun = dataclasses.replace(other, finished=False)
    assert read_records(tmp_path / "out") == {"a.wav": begun, "b.wav": other}
    assert begun.difference(other, tmp_path / "song.wav") == "their writing was interrupted"


def test_processes_that_record_in_one_folder_lose_no_entry(record, tmp_path):
    program = """
import pickle, sys, pathlib
from soloist.inference.stem_record import announce, remember
record = pickle.load(sys.stdin.buffer)
for number in range(25):
    path = pathlib.Path(sys.argv[1], f"{sys.argv[2]}-{number}.wav")
    announce([path], record)
    remember([path], record)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "flat")]
    processes = [subprocess.Popen([*command, name], stdin=subprocess.PIPE) for name in "abc"]
    for process in processes:
        process.communicate(pickle.dumps(record))
        assert process.returncode == 0
    names = {f"{name}-{number}.wav" for name in "abc" for number in range(25)}
    assert read_records(tmp_path / "flat") == dict.fromkeys(names, record)
    assert [path.name for path in (tmp_path / "flat").iterdir()] == [RECORD]


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that not even root can write to")
def test_files_without_a_record_are_not_announced_where_none_can_be_written(record):
    with pytest.raises(OSError, match="proc"):
        remember([Path("/proc/a.wav")], record)
    assert announce([Path("/proc/a.wav")], record) is None


def test_a_name_that_is_not_utf8_is_recorded(record, tmp_path):
    odd = dataclasses.replace(record, input=dataclasses.replace(record.input, path="/caf\udce9.wav"))
    remember([tmp_path / "a.wav"], odd)
    assert read_records(tmp_path)["a.wav"] == odd


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"{}", b"[1]", b'{"tracks": [{"stems": ["a"], "input": 1}]}']
)
def test_a_damaged_record_counts_as_none(tmp_path, content):
    (tmp_path / RECORD).write_bytes(content)
    assert read_records(tmp_path) == {}


def test_a_recording_is_known_by_all_of_its_bytes(record, tmp_path):
    known, path = record.input, tmp_path / "copy.wav"
    content = bytearray((tmp_path / "song.wav").read_bytes())
    path.write_bytes(content)
    assert known.is_same_recording(InputFile.of(path), path)
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not known.is_same_recording(InputFile.of(path), path)
    (tmp_path / "song.wav").write_bytes(content)
    assert known.is_same_recording(InputFile.of(tmp_path / "song.wav"), tmp_path / "song.wav")
    assert not known.is_unchanged(InputFile.of(tmp_path / "song.wav"), tmp_path / "song.wav")
