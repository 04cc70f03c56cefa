"""`soloist separate --dry-run`: what it says, and what it leaves alone."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

SHIPPED = "tiny-sudormrf-digits"
GUIDE = Path(__file__).parents[2] / "docs" / "engines.md"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("SOLOIST_HOME", str(tmp_path / "home"))


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "talkers.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(9 * 8000), 8000)
    return path


@pytest.fixture
def night(tmp_path):
    """Eight silent hours, mono at 8 kHz, of which nothing is on the disk."""
    path, size = tmp_path / "night.wav", 8 * 3600 * 8000 * 2
    form = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", size)
    with open(path, "wb") as file:
        file.write(struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form)
        file.truncate(44 + size)
    return path


def lines(result):
    return [json.loads(line) for line in result.out.splitlines()]


def test_it_says_what_it_will_take(soloist, recording, tmp_path):
    output = tmp_path / "stems"
    text = soloist("separate", recording, "-m", SHIPPED, "--dry-run", "-o", output).out
    assert "by torch on cpu" in text
    assert "by chunks that were separated now" in text
    assert "weights: 1.6 MB, licence: CC BY-SA 4.0" in text
    assert "in all about" in text
    assert str(output / SHIPPED / "talkers" / "talker1.wav") in text
    assert not output.exists()


def test_its_json_is_complete_and_documented(soloist, recording, tmp_path):
    output = tmp_path / "stems"
    (values,) = lines(soloist("separate", recording, "-m", SHIPPED, "--dry-run", "--json", "-o", output))
    assert values["ok"]
    assert values["dry_run"]
    assert 0 < values["expected_seconds"] < 60
    assert values["start_seconds"] > 0
    assert 100 < values["expected_memory_mb"] < values["available_memory_mb"]
    assert values["expected_disk_mb"] == pytest.approx(2 * 9 * 8000 * 4 / 1e6)
    assert values["expected_disk_mb"] < values["available_disk_mb"]
    assert values["expected_gpu_memory_mb"] is None
    assert values["expected_from"] == "measurement"
    assert (values["engine"], values["device"], values["licence"]) == ("torch", "cpu", "CC BY-SA 4.0")
    assert not output.exists()
    guide = GUIDE.read_text(encoding="utf-8")
    assert [name for name in values if f"`{name}`" not in guide] == []


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_planned(soloist, recording, tmp_path):
    broken, missing = tmp_path / "broken.wav", tmp_path / "missing.wav"
    broken.write_bytes(b"RIFF of nothing")
    result = soloist("separate", broken, recording, missing, "-m", SHIPPED, "--dry-run", "--json")
    assert result.code == 1
    assert [values["ok"] for values in lines(result)] == [False, True, False]
    assert [values["input"] for values in lines(result)] == [str(broken), str(recording), str(missing)]
    assert "broken.wav" in result.err
    assert "missing.wav" in result.err


def test_it_heeds_the_options(soloist, recording, tmp_path):
    options = ("--stems", "talker2", "--format", "flac", "--engine", "torch", "--device", "cpu")
    result = soloist(
        "separate", recording, "-m", SHIPPED, "--dry-run", "--json", "-o", tmp_path / "stems", *options
    )
    (values,) = lines(result)
    assert list(values["stems"]) == ["talker2"]
    assert values["stems"]["talker2"].endswith(".flac")
    assert (values["engine"], values["device"]) == ("torch", "cpu")
    # As float beside the file until it is encoded, and then the file.
    assert values["expected_disk_mb"] == pytest.approx(9 * 8000 * (4 + 3) / 1e6)


@pytest.mark.slow
def test_larger_batches_take_more_memory(soloist, recording):
    memory = []
    for size in (1, 2):
        options = ("--batch-size", size, "--chunk", 2)
        (values,) = lines(soloist("separate", recording, "-m", SHIPPED, "--dry-run", "--json", *options))
        memory.append(values["expected_memory_mb"])
    assert memory[0] < memory[1]


def test_what_is_there_already_takes_nothing(soloist, recording, tmp_path):
    options = ("-m", "hpss", "-o", tmp_path / "stems")
    assert soloist("separate", recording, *options).code == 0
    (values,) = lines(soloist("separate", recording, *options, "--skip-existing", "--dry-run", "--json"))
    assert values["skipped"]
    assert "expected_seconds" not in values


@pytest.mark.slow
def test_what_does_not_fit_into_memory_is_refused(soloist, night):
    result = soloist("separate", night, "-m", SHIPPED, "--dry-run", "--chunk", 8 * 3600)
    assert result.code == 1
    assert "take a shorter --chunk or a smaller --batch-size" in result.err
    assert len(result.err.strip().splitlines()) == 1


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_what_does_not_fit_on_the_disk_is_refused(soloist, recording, tmp_path, monkeypatch, dry):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 5e5, "total": 1e9}))
    output = tmp_path / "stems"
    result = soloist("separate", recording, "-m", SHIPPED, "-o", output, *dry)
    assert result.code == 1
    assert f"soloist: {recording}: the stems take up to 0.6 MB of the disk" in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not output.exists()


def test_files_share_the_disk(soloist, recording, tmp_path, monkeypatch):
    another = tmp_path / "another.wav"
    another.write_bytes(recording.read_bytes())
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1e6, "total": 1e9}))
    result = soloist("separate", recording, another, "-m", SHIPPED, "--dry-run", "--json")
    assert [values["ok"] for values in lines(result)] == [True, False]


@pytest.mark.slow
def test_a_limit_on_the_process_is_heeded(soloist_process, recording):
    resource = pytest.importorskip("resource")

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (3 * 10**9, 3 * 10**9))

    options = ("-m", SHIPPED, "--dry-run", "--json", "--threads", "1")
    process = soloist_process("separate", recording, *options, preexec_fn=limit)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    values = json.loads(out)
    assert values["expected_memory_mb"] < values["available_memory_mb"] < 3000
