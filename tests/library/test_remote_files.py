"""Recordings elsewhere: found and copied by fsspec, here in its file system in memory."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest
import soundfile

from soloist.errors import AudioError, UsageError
from soloist.inference import FileSettings
from soloist.library import EntryWorker, find_entries
from soloist.library.remote_files import fetched, find_remote, is_remote

RATE = 8000


@pytest.fixture
def bucket(tmp_path):
    """A folder in memory with two recordings and a text."""
    memory = fsspec.filesystem("memory")
    for place, seconds in (("top.wav", 0.5), ("deep/down.wav", 1.0)):
        sound = 0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE))
        soundfile.write(tmp_path / "sound.wav", sound, RATE)
        memory.pipe(f"/bucket/{place}", (tmp_path / "sound.wav").read_bytes())
    memory.pipe("/bucket/readme.txt", b"text")
    yield "memory://bucket"
    memory.rm("/bucket", recursive=True)


def test_folders_globs_and_files_are_found(bucket):
    assert [(each.name, each.url) for each in find_remote(bucket)] == [
        ("deep/down", "memory:///bucket/deep/down.wav"),
        ("top", "memory:///bucket/top.wav"),
    ]
    assert [each.name for each in find_remote(f"{bucket}/*/*.wav")] == ["down"]
    (one,) = find_remote(f"{bucket}/top.wav")
    assert (one.name, one.url, one.size) == ("top", f"{bucket}/top.wav", 44 + RATE)
    for given, message in (("/none.wav", "does not exist"), ("/*.mp3", "no audio files")):
        with pytest.raises(AudioError, match=message):
            find_remote(bucket + given)


def test_the_version_changes_with_the_content(bucket):
    (before,) = find_remote(f"{bucket}/top.wav")
    with fetched(before.url, before.version) as copy:
        assert copy.stat().st_mtime_ns == before.version
        content = copy.read_bytes()
    assert not copy.exists()
    fsspec.filesystem("memory").pipe("/bucket/top.wav", content[::-1])
    (after,) = find_remote(f"{bucket}/top.wav")
    assert after.version != before.version


def test_only_urls_of_storages_are_remote():
    assert is_remote("s3://bucket/a.wav")
    assert is_remote("HF://datasets/a/b")
    for given in ("https://example.org/a.wav", "file:///a.wav", "a.wav", "C:\\a.wav", ""):
        assert not is_remote(given)
    with pytest.raises((UsageError, AudioError), match="az://"):
        find_remote("az://container/a.wav")


def test_a_remote_recording_is_separated_and_known_again(bucket, tmp_path):
    settings = FileSettings(tmp_path / "out", skip_existing=True)
    entries = find_entries([bucket, f"{bucket}/none.wav"], "hpss", settings, lambda *lost: None)
    worker = EntryWorker()
    outcomes = [worker.run(entry) for entry in entries]
    assert [each.row.state for each in outcomes] == ["done", "done"]
    assert outcomes[0].row.input == "memory:///bucket/deep/down.wav"
    assert (tmp_path / "out/hpss/deep/down/harmonic.wav").is_file()
    assert [worker.run(entry).row.state for entry in entries] == ["found", "found"]
    fsspec.filesystem("memory").rm("/bucket/top.wav")
    lost = worker.run(entries[1])
    assert (lost.row.kind, str(lost.error)) == ("audio", "memory:///bucket/top.wav does not exist")
