"""`soloist doctor`: what it tells of an installation, and what it finds broken."""

from __future__ import annotations

import pytest
import soundfile

from soloist import __version__
from soloist.inference import self_test


def facts(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines())


@pytest.mark.slow
def test_a_sound_installation(soloist, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("SOLOIST_HOME", str(home))
    (home / "graphs").mkdir(parents=True)
    (home / "graphs" / "one.onnx").write_bytes(bytes(3_000_000))
    result = soloist("doctor")
    assert result.code == 0, result.out
    told = facts(result.out)
    assert told["soloist"] == __version__
    assert told["engines"] == "torch, openvino, onnxruntime"
    assert "soundfile " in told["packages"]
    assert "pytest" not in told["packages"]
    assert "3.0 MB of graphs" in told["caches"]
    assert told["caches"].endswith(" GB free")
    assert [part.split()[:2] for part in told["formats"].split(", ")] == [
        [name, "ok"] for name in ("wav", "flac", "mp3", "ogg", "opus", "m4a")
    ]
    assert told["separation"].startswith("cpu ok (3 s of music in ")
    assert f"SOLOIST_HOME={home}" in told["settings"]


def test_a_format_that_does_not_come_back_is_named(monkeypatch):
    read = self_test.read_audio
    monkeypatch.setattr(self_test, "read_audio", lambda path: (0.5 * read(path)[0], 48000))
    failed = self_test.check_formats()[0]
    assert not failed.passed
    assert "a song of level" in failed.told


def test_a_folder_that_cannot_be_written_is_named(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(28, "No space left on device", "song.ogg")

    monkeypatch.setattr(soundfile, "SoundFile", refuse)
    checks = {check.name: check for check in self_test.check_formats()}
    assert not checks["ogg"].passed
    assert "No space left on device" in checks["ogg"].told
