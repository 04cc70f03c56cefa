"""`soloist mix`, and `soloist serve` with wrong arguments."""

import re
import socket
import subprocess
import sys
import urllib.request

import pytest
import soundfile

from served_songs import noise
from soloist.cli.main import main
from soloist.server import Limits, mixer_job
from soloist.server.job_store import JobStore

RATE = 8000


def write(path, *, rate=RATE, channels=2, seed=0):
    soundfile.write(path, noise(seed, channels, 2 * rate).T, rate, "PCM_16")


def test_a_folder_of_stems_is_a_finished_job_with_their_sum(tmp_path):
    stems = tmp_path / "song"
    stems.mkdir()
    for seed, name in enumerate(("drums.wav", "vocals.flac")):
        write(stems / name, seed=seed)
    (stems / "notes.txt").write_text("no sound")
    job = mixer_job(stems, JobStore(tmp_path / "jobs", Limits()))
    assert (job.name, job.state, job.stems, job.samples) == (
        "song",
        "finished",
        ["drums", "vocals"],
        2 * RATE,
    )
    mixture, _ = soundfile.read(job.track("mixture"))
    expected = (noise(0, 2, 2 * RATE) + noise(1, 2, 2 * RATE)).T
    assert abs(mixture - expected).max() < 1e-6
    assert sorted(path.name for path in stems.iterdir()) == ["drums.wav", "notes.txt", "vocals.flac"]


def test_a_mixture_in_the_folder_is_the_mixture(tmp_path):
    stems = tmp_path / "song"
    stems.mkdir()
    write(stems / "mixture.wav", seed=7)
    write(stems / "vocals.wav", seed=1)
    job = mixer_job(stems, JobStore(tmp_path / "jobs", Limits()))
    assert job.stems == ["vocals"]
    mixture, _ = soundfile.read(job.track("mixture"))
    assert abs(mixture - noise(7, 2, 2 * RATE).T).max() < 1e-6


def refuse(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["soloist", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "part"),
    [({}, "no stems in the folder"), ({"a.wav": 8000, "b.wav": 16000}, "are not stems of one song")],
)
def test_what_cannot_be_mixed_is_refused_by_one_line(tmp_path, monkeypatch, capsys, files, part):
    for name, rate in files.items():
        write(tmp_path / name, rate=rate)
    code, line = refuse(monkeypatch, capsys, "mix", tmp_path, "--no-open")
    assert code == 2
    assert part in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--keep", "0"], "the limit 'keep' must be more than 0"),
        (["--models", "nosuch"], "no model is named 'nosuch'"),
        (["--host", "203.0.113.1"], "cannot listen at 203.0.113.1, port 8000"),
        (["--port", "70000"], "--port"),
    ],
)
def test_wrong_arguments_of_serve_are_one_line(tmp_path, monkeypatch, capsys, arguments, part):
    code, line = refuse(monkeypatch, capsys, "serve", "-o", tmp_path / "jobs", *arguments)
    assert code in (1, 2)
    assert part in line
    assert line.count("\n") == 1


def test_a_taken_port_is_named(tmp_path, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, line = refuse(monkeypatch, capsys, "serve", "-o", tmp_path, "--port", port)
    assert code == 1
    assert f"port {port}: Address already in use; take another --port" in line


@pytest.mark.slow
def test_mix_serves_the_folder_until_it_is_ended(tmp_path):
    write(tmp_path / "vocals.wav")
    command = [sys.executable, "-m", "soloist.cli.main", "mix", str(tmp_path), "--no-open"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        found = re.search(r"(http://127.0.0.1:\d+/)#(\w+)", process.stderr.readline())
        with urllib.request.urlopen(f"{found[1]}api/jobs/{found[2]}/stems/vocals") as answer:
            assert answer.read(4) == b"fLaC"
        process.terminate()
    assert process.returncode == 143
