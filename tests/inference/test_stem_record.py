import dataclasses
import os

import pytest

from soloist.inference.stem_record import RECORD, InputFile, StemRecord, forget, read_records, remember


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
    forget([tmp_path / "out" / "a.wav", tmp_path / "nowhere" / "a.wav"])
    assert read_records(tmp_path / "out") == {"b.wav": other}
    assert not (tmp_path / "nowhere").exists()


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
