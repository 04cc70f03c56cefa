"""Files with wrong headers, missing ends and damage, and pipes, as inputs of `soloist separate`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile

from soloist.audio import WriteOptions
from soloist.audio.writer import StemWriter


@pytest.fixture
def cases(repository):
    return repository / "tests/fixtures/cases"


@pytest.fixture
def flac(tmp_path):
    """A FLAC file of 3 s."""
    path = tmp_path / "song.flac"
    audio = 0.3 * np.random.default_rng(0).standard_normal((1, 2, 132_300)).clip(-3, 3).astype(np.float32)
    with StemWriter({"song": path}, 44100, 2, WriteOptions(format="flac", bit_depth=16)) as writer:
        writer.write(audio)
        writer.commit()
    return path


def frames(folder, track):
    return {path.stem: soundfile.info(path).frames for path in (folder / "hpss" / track).glob("*.wav")}


@pytest.mark.parametrize(
    ("name", "samples", "line"),
    [
        ("mp3-joined/joined.mp3", 74_970, ""),
        ("flac-without-length/piped.flac", 22_050, ""),
        ("wav-gsm/gsm.wav", 8320, ""),
        ("wav-size-16-more/recorder.wav", 22_050, "its header promises 8 samples more than there are"),
    ],
)
def test_stems_have_the_samples_that_decode(soloist, cases, tmp_path, name, samples, line):
    result = soloist("separate", cases / name, "-m", "hpss", "-o", tmp_path)
    assert result.code == 0, result.err
    assert set(frames(tmp_path, (cases / name).stem).values()) == {samples}
    assert line in result.err
    planned = soloist("separate", cases / name, "-m", "hpss", "-o", tmp_path, "--dry-run", "--json")
    assert json.loads(planned.out)["duration"] == pytest.approx(
        samples / soundfile.info(cases / name).samplerate
    )


def test_a_truncated_file_is_refused_and_its_rest_is_separated_on_demand(soloist, flac, tmp_path):
    content = flac.read_bytes()
    flac.write_bytes(content[: len(content) // 2])
    call = ("separate", flac, "-m", "hpss", "-o", tmp_path / "out")
    refused = soloist(*call)
    assert refused.code == 1
    assert "truncated" in refused.err
    assert "--keep-going" in refused.err
    assert not (tmp_path / "out").exists()
    result = soloist(*call, "--keep-going", "--quiet")
    assert result.code == 1
    assert "truncated" in result.err
    assert "the stems end there" in result.err
    assert all(44_100 < count < 80_000 for count in frames(tmp_path / "out", "song").values())
    report = json.loads(soloist(*call, "--keep-going", "--json").out)
    assert report["ok"] is False
    assert "truncated" in report["error"]


def test_a_damaged_middle_becomes_silence_and_is_named(soloist, flac, tmp_path):
    content = bytearray(flac.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = np.random.default_rng(0).bytes(2000)
    flac.write_bytes(content)
    result = soloist("separate", flac, "-m", "hpss", "-o", tmp_path / "out", "--json")
    assert result.code == 0
    assert set(frames(tmp_path / "out", "song").values()) == {132_300}
    report = json.loads(result.out)
    assert report["ok"] is True
    assert "s are missing at 1." in report["losses"][0]
    assert "s are missing at 1." in result.err


def test_a_named_pipe_is_kept_first(soloist, cases, tmp_path):
    pipe = tmp_path / "p.fifo"
    os.mkfifo(pipe)
    content = (cases / "named-pipe/tone.wav").read_bytes()
    writer = threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True)
    writer.start()
    result = soloist("separate", pipe, "-m", "hpss", "-o", tmp_path, "--json")
    writer.join(10)
    assert result.code == 0, result.err
    assert json.loads(result.out)["input"] == str(pipe)
    assert set(frames(tmp_path, "p").values()) == {4000}


@pytest.mark.slow
@pytest.mark.parametrize("given", ["/dev/stdin", "-"])
def test_standard_input_by_any_name_and_without_a_length(cases, tmp_path, given):
    content = (cases / "flac-without-length/piped.flac").read_bytes()
    command = [sys.executable, "-m", "soloist.cli.main", "separate", given, "-m", "hpss", "-o", tmp_path]
    run = subprocess.run(command, input=content, capture_output=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert set(frames(tmp_path, "stdin").values()) == {22_050}


def test_closed_standard_input_and_devices_are_refused(soloist, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", None)
    result = soloist("separate", "-", "-m", "hpss", "-o", tmp_path)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "standard input is closed" in result.err
    result = soloist("info", "/dev/zero")
    assert result.code == 1
    assert "name - and send it to standard input" in result.err


def test_an_empty_pipe_ends_no_other_input(soloist, cases, tmp_path):
    pipe = tmp_path / "empty.fifo"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=(b"",), daemon=True).start()
    result = soloist("separate", pipe, cases / "named-pipe/tone.wav", "-m", "hpss", "-o", tmp_path)
    assert result.code == 1
    assert f"{pipe}: the stream is empty" in result.err
    assert "1 of 2 inputs failed" in result.err
    assert set(frames(tmp_path, "tone").values()) == {4000}
